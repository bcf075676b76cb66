// The shapes of the HTTP contract, as far as these pages read them. Members that a server may not have yet are optional.

export type ProfileStatus = 'unlocked' | 'locked' | 'revoked' | 'expired' | 'suspended';
export type ExecutionStatus =
  | 'pending'
  | 'running'
  | 'awaiting_llm'
  | 'completed'
  | 'error'
  | 'timeout'
  | 'cancelled';

export interface Credential {
  name: string;
  description: string;
  has_value: boolean;
  secret: boolean;
  created_at: string;
  updated_at: string;
  used_by: string[];
  /** Who wrote the description. */
  described_by?: 'agent' | 'person';
  warnings?: string[];
}

export interface ProfileCredential {
  name: string;
  description: string;
  described_by?: 'agent' | 'person';
  value_exists: boolean;
}

export interface Limits {
  memory_bytes: number | null;
  cpu_seconds: number | null;
  processes: number | null;
  open_files: number | null;
  tmp_bytes: number | null;
  output_bytes: number | null;
}

export interface Profile {
  id: string;
  description: string;
  described_by?: 'agent' | 'person';
  status: ProfileStatus;
  locked: boolean;
  revoked: boolean;
  suspended?: boolean;
  expires_at: string | null;
  credentials: ProfileCredential[];
  allowed_hosts: string[] | null;
  limits: Limits;
  on_leak: 'record' | 'suspend';
  created_at: string;
  updated_at: string;
  last_used_at: string | null;
}

/** The answer to locking and to a new key: the one time that the key is shown. */
export interface KeyedProfile extends Profile {
  key: string;
}

export interface Usage {
  cpu_ms: number;
  max_rss_bytes: number;
}

export interface ListedExecution {
  execution_id: string;
  profile_id: string;
  status: ExecutionStatus;
  created_at: string;
  started_at?: string;
  completed_at?: string;
  execution_time_ms?: number;
  error_type?: string;
  suspicious?: boolean;
  usage?: Usage;
}

export interface Redaction {
  field: string;
  credential: string;
  form: string;
  count: number;
}

export interface LlmRequest {
  id: string;
  prompt: string;
  model: string;
}

export interface LlmExchange {
  id?: string;
  prompt: string;
  model: string;
  response?: string | null;
  timed_out?: boolean;
  asked_at: string;
  answered_at?: string | null;
}

export interface Egress {
  host: string;
  /** null: the lookup of a name. */
  port: number | null;
  allowed: boolean;
  reason?: string | null;
  count?: number;
  bytes_sent?: number | null;
  bytes_received?: number | null;
  first_at?: string;
}

export interface Execution extends ListedExecution {
  result?: unknown;
  stdout?: string;
  stderr?: string;
  error?: string | null;
  traceback?: string;
  llm_request?: LlmRequest;
  llm_requests?: LlmRequest[];
  script: string;
  environment?: string;
  attempts?: number;
  rerun_of?: string;
  redactions: Redaction[];
  llm_exchanges?: LlmExchange[];
  egress?: Egress[];
}

export interface Bucket {
  start: string;
  completed: number;
  error: number;
  timeout: number;
  cancelled: number;
  p50_ms: number | null;
  p95_ms: number | null;
}

export interface Overview {
  now: string;
  window_s: number;
  bucket_s: number;
  /** Set when there are more executions than are looked at: from when on the numbers are whole. */
  counted_since: string | null;
  live: { pending: number; running: number; awaiting_llm: number };
  totals: { completed: number; error: number; timeout: number; cancelled: number };
  durations: { p50_ms: number | null; p95_ms: number | null };
  buckets: Bucket[];
  attention: {
    values_wanted: { count: number; credentials: Pick<Credential, 'name' | 'description' | 'described_by'>[] };
    profiles_ready: { count: number; profiles: Pick<Profile, 'id' | 'description' | 'described_by'>[] };
    profiles_suspended: { count: number; profiles: Pick<Profile, 'id' | 'description' | 'described_by'>[] };
    suspicious: { count: number; executions: ListedExecution[] };
  };
  /** How many there are. */
  credentials: number;
  profiles: number;
  /** Why no script can run; empty when one can. */
  problems: string[];
  /** The sandbox's layers that are not in force. */
  degraded: string[];
}

export interface ServerInfo {
  version: string;
  base_url: string;
  capacity: { running: number; queued: number; workers: number };
  sessions: { idle_s: number; max_s: number };
  limits: Record<keyof Limits, number>;
  retention: { age_s: number; executions: number };
  worker?: { python: string; environment: string; layers: Layer[] };
}

/** A layer of the sandbox. */
export interface Layer {
  name: string;
  does: string;
  /** No script runs without it. */
  floor: boolean;
  active: boolean;
  detail: string;
  turn_on: string;
}

export interface Session {
  id: string;
  created_at: string;
  last_seen_at: string;
  current: boolean;
}
