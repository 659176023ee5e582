/** One that takes part in a task. */
export interface Participant<Result> {
  /** What comes of the task. */
  readonly result: Promise<Result>;
  /** Whether the task had been begun for another. */
  readonly joined: boolean;
  /**
   * Waits for the result no longer. The last one that leaves a task that is under way ends it.
   *
   * @param reason the reason of the task's signal then
   */
  readonly leave: (reason?: unknown) => void;
}

interface Task<Result> {
  readonly result: Promise<Result>;
  readonly ended: AbortController;
  participants: number;
}

/** Lets equal tasks that are wanted at once share one run. */
export class Coalescer<Result> {
  readonly #underWay = new Map<string, Task<Result>>();

  /**
   * Takes part in the task of this key that is under way, or begins it.
   *
   * @param begin begins it; its signal is aborted when nobody waits for the result any more
   */
  join(key: string, begin: (signal: AbortSignal) => Promise<Result>): Participant<Result> {
    const found = this.#underWay.get(key);
    const task = found ?? this.#begin(key, begin);
    task.participants++;
    const leave = (reason?: unknown) => {
      task.participants--;
      if (task.participants > 0 || this.#underWay.get(key) !== task) return;
      this.#remove(key, task);
      task.ended.abort(reason);
    };
    return { result: task.result, joined: found !== undefined, leave };
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<Result>): Task<Result> {
    const ended = new AbortController();
    const result = begin(ended.signal).finally(() => this.#remove(key, task));
    const task = { result, ended, participants: 0 };
    this.#underWay.set(key, task);
    return task;
  }

  #remove(key: string, task: Task<Result>): void {
    if (this.#underWay.get(key) === task) this.#underWay.delete(key);
  }
}
