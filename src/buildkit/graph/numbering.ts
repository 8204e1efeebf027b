/** Names of a stage's vertices as BuildKit shows them: "[build 2/5] RUN make". */
export class Numbering {
  #done = 0;

  /** `platform` is shown when several are built; "" otherwise. `stage` is "" for a Dockerfile of one. */
  constructor(
    private readonly options: { readonly platform: string; readonly stage: string; readonly total: number },
  ) {}

  /** The next vertex's. */
  next(text: string): string {
    if (this.options.total === 0) return text;
    this.#done++;
    return this.same(text);
  }

  /** A further one of the vertex that was named last. */
  same(text: string): string {
    const { platform, stage, total } = this.options;
    if (total === 0) return text;
    const number = String(this.#done).padStart(String(total).length);
    const place = [platform, stage, `${number}/${total}`].filter((part) => part !== "").join(" ");
    return `[${place}] ${text}`;
  }
}
