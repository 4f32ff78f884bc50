/** How much of the ensemble has been loaded, in bytes. */
export interface Progress {
  /** Downloaded, or found in the browser's cache. */
  received: number;
  total: number;
}

export interface LoadOptions {
  /** Called as bytes arrive, a few times a second. */
  onProgress?: (progress: Progress) => void;
  /**
   * The models to load. Where the bundle has a final model beside its folds, `"final"` loads that one alone, and
   * `"final-then-folds"` answers by it until all folds are loaded. Without a final model, `"final"` rejects with the code
   * `"bundle"`, and `"final-then-folds"` is `"folds"`, which is the default.
   */
  models?: "folds" | "final" | "final-then-folds";
  /**
   * The sha256 of the bundle's `manifest.json`, as `native-train inspect BUNDLE` prints it: `"sha256-"` and the hash in base64. The
   * manifest names all other files by their hashes, so the host need not be trusted. A bundle on another site needs it.
   */
  integrity?: string;
  /** The number of folds to load, the first ones; all by default. Fewer are a smaller download and a mean of fewer. */
  folds?: number;
  /**
   * The bytes of memory that the models may take together, roughly. Folds that do not fit at the same time take turns, from the
   * browser's cache. The default is two fifths of what the browser says the device has, or of 4 GiB if it does not tell.
   */
  memory?: number;
  /** Stops loading when aborted. What has been downloaded is kept for the next time. */
  signal?: AbortSignal;
}

/** Options of a call of `classify`. */
export interface ClassifyOptions<A> {
  /** Drops the question when aborted: the call rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called each time a fold has answered, with the answer of those that have: their mean, which the next fold may still change. */
  onAnswer?: (answer: A, progress: PartialAnswer) => void;
}

/** How much of an answer there is. */
export interface PartialAnswer {
  /** The fold that has answered last, from 0; absent if the final model answers. */
  fold?: number;
  /** The models that have answered, of those that are asked. */
  answered: number;
  of: number;
}

/** An explanation of the answer for one label: what the probability is without each word. */
export interface Explanation {
  label: string;
  /** The probability of the whole text. */
  probability: number;
  /** The first 150 words, in their order. */
  words: ExplainedWord[];
  /** The models whose answer this explains. */
  models: "folds" | "final";
  /** Whether the text has more words than are explained. */
  cut: boolean;
}

/** A word: what stands between white space. */
export interface ExplainedWord {
  text: string;
  /** Its place: `text.slice(start, end)` of the explained text is the word. */
  start: number;
  end: number;
  /** The probability with the word minus that without it. */
  change: number;
}

/** The answer for one label. */
export interface LabelAnswer {
  /** The mean of the folds' probabilities, or that of the final model, from 0 to 1. */
  probability: number;
  /** The lowest probability at which the label is on; tuned on texts that the models had not seen. */
  threshold: number;
  /** Whether the text has the label: `probability >= threshold`. */
  on: boolean;
  /** The lowest and the highest of the folds' probabilities; of the final model both are `probability`. */
  lowest: number;
  highest: number;
  /** The probability from each fold that has answered, in their order; none if the final model answers. */
  folds: number[];
}

/** The answer to one text. */
export interface Answer {
  /** The answer for each label by its name, in the order of {@link Ensemble.labels}. */
  labels: Record<string, LabelAnswer>;
  /** The models whose answer this is: the mean of the folds, or the final model alone. It is never a part of the mean. */
  models: "folds" | "final";
  /** Whether the text was longer than the models read; they ignored the rest. */
  truncated: boolean;
}

/**
 * The error that the functions reject with, by what went wrong. After an abort they reject with the signal's reason, and after a
 * wrong argument with a `TypeError` whose `code` is `"argument"`.
 */
export interface QuintetError extends Error {
  name: "QuintetError";
  code:
    | "offline" | "not-found" | "server" | "instead" | "corrupted" | "unpinned" | "altered" | "bundle"
    | "simd-missing" | "old-browser"
    | "out-of-memory" | "worker-died" | "cancelled" | "disposed";
  /** What the visitor can do about it, in whole sentences. */
  remedy: string;
}

/**
 * A loaded ensemble; its folds run in web workers. In some bundles the embeddings of rare words are loaded after the
 * models: `classify` of a text with rare words then waits for them. If they cannot be loaded it rejects, and the next
 * call tries again.
 */
export interface Ensemble {
  /** The bundle's title. */
  readonly title: string;
  /** The names of the labels. */
  readonly labels: string[];
  /** The threshold of each label. */
  readonly thresholds: number[];
  /** The number of folds that are loaded, or will be. */
  readonly folds: number;
  /** Whether the bundle has a final model beside its folds. */
  readonly hasFinalModel: boolean;
  /** The models that would answer now. */
  readonly models: "folds" | "final";
  /** Why the models are not kept for the next visit; `undefined` if they are. */
  readonly notCached: string | undefined;
  /** Classifies a text. Nothing leaves the browser. */
  classify(text: string, options?: ClassifyOptions<Answer>): Promise<Answer>;
  /** Classifies texts; the answers are in their order. */
  classify(texts: readonly string[], options?: ClassifyOptions<Answer[]>): Promise<Answer[]>;
  /**
   * Explains the probability of a label: asks the models once for each word, about the text without it. Texts that are classified
   * meanwhile go before.
   */
  explain(text: string, label: string, options?: { signal?: AbortSignal }): Promise<Explanation>;
  /**
   * Loads the folds besides the final model, and resolves when they answer from now on; at once if they do already. If they
   * cannot be loaded it rejects, the final model goes on answering, and the next call tries again.
   */
  loadFolds(options?: { signal?: AbortSignal }): Promise<void>;
  /** Ends the workers and frees their memory. Unanswered calls of `classify` reject. */
  dispose(): void;
}

/**
 * Loads the ensemble from `url`: a folder that `native-train export` wrote, of this site or, with `integrity`, of another one. In
 * Node, `url` is the path of a folder, or an address, which needs `integrity`.
 */
export function load(url: string | URL, options?: LoadOptions): Promise<Ensemble>;

/** The size in bytes of the models that this site keeps in the browser's cache. */
export function cacheSize(): Promise<number>;

/** Removes all models that this site keeps in the browser's cache. */
export function clearCache(): Promise<void>;
