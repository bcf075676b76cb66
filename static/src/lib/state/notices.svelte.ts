// Short notices that something was done, or was not. They are read out, and leave by themselves unless they are errors.
export interface Notice {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 5000;
const MOST = 4;

class Notices {
  list = $state<Notice[]>([]);
  #next = 0;

  done(text: string): void {
    const id = this.#add(text, false);
    setTimeout(() => this.dismiss(id), SHOWN_MS);
  }

  failed(error: unknown): void {
    this.#add(error instanceof Error ? error.message : String(error), true);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  #add(text: string, bad: boolean): number {
    const id = this.#next++;
    this.list = [...this.list.slice(1 - MOST), { id, text, bad }];
    return id;
  }
}

export const notices = new Notices();
