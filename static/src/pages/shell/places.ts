// The pages there are, in the order of the navigation, with the keys that go there.
import type { IconName } from '../../lib/ui/Icon.svelte';

export interface PlaceName {
  page: IconName & ('overview' | 'credentials' | 'profiles' | 'executions' | 'settings');
  name: string;
  key: string;
}

export const PLACES: PlaceName[] = [
  { page: 'overview', name: 'Overview', key: 'o' },
  { page: 'executions', name: 'Executions', key: 'e' },
  { page: 'profiles', name: 'Profiles', key: 'p' },
  { page: 'credentials', name: 'Credentials', key: 'c' },
  { page: 'settings', name: 'Settings', key: 's' },
];
