// The way of a profile from nothing to a key: what is done, what comes next, what is missing.
import type { Profile, ProfileStatus } from '../../lib/api/types';

export interface Step {
  name: string;
  state: 'done' | 'next' | 'later';
  says: string;
}

/** A suspended profile is still locked; what matters of it is that it runs nothing. */
export function shownStatus({ status, suspended }: Profile): ProfileStatus {
  return status === 'locked' && suspended ? 'suspended' : status;
}

/** The credentials of a profile that have no value yet. */
export function missing(profile: Profile): string[] {
  return profile.credentials.filter(({ value_exists }) => !value_exists).map(({ name }) => name);
}

/** An unlocked profile with nothing to wait for. It may be locked without credentials too, for a script that needs none. */
export function lockable(profile: Profile): boolean {
  return profile.status === 'unlocked' && missing(profile).length === 0;
}

export function steps(profile: Profile): Step[] {
  const [has, lacks] = [profile.credentials.length, missing(profile).length];
  const state = (done: boolean, before: boolean) => (done ? 'done' : before ? 'next' : 'later');
  return [
    { name: 'Create', state: 'done', says: 'It exists, and agents can see it.' },
    {
      name: 'Add credentials',
      state: state(has > 0, true),
      says: has > 0 ? `${has} in it.` : 'Choose what its scripts may use.',
    },
    {
      name: 'Fill values',
      state: state(has > 0 && lacks === 0, has > 0),
      says: lacks > 0 ? `${lacks} of ${has} still without a value.` : has > 0 ? 'Every one has a value.' : 'Each needs one.',
    },
    {
      name: 'Lock',
      state: state(profile.locked, has > 0 && lacks === 0),
      says: 'Freezes its credentials and makes the key.',
    },
  ];
}
