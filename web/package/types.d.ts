/** How much of the ensemble is at hand, in bytes. */
export interface Progress {
  /** Received or found in the browser's cache. */
  received: number;
  total: number;
}

export interface LoadOptions {
  /** Called as bytes arrive, a few times a second. */
  onProgress?: (progress: Progress) => void;
  /** Gives up loading. What has arrived is kept for the next time. */
  signal?: AbortSignal;
}

/** What the ensemble says of one label. */
export interface LabelAnswer {
  /** The mean of the folds' probabilities, from 0 to 1. */
  probability: number;
  /** The probability from which on the label is on; tuned on texts that the models had not seen. */
  threshold: number;
  /** Whether the text has the label: `probability >= threshold`. */
  on: boolean;
  /** The lowest and the highest probability that a fold gives: how far the models disagree. */
  lowest: number;
  highest: number;
  /** The probability by each fold, in their order. */
  folds: number[];
}

/** What the ensemble says of one text. */
export interface Answer {
  /** By the name of the label, in the order of {@link Ensemble.labels}. */
  labels: Record<string, LabelAnswer>;
  /** Whether the text was longer than the model reads: the rest had no influence. */
  truncated: boolean;
}

/** What `load` and `classify` reject with, unless it is the signal's own reason. */
export interface QuintetError extends Error {
  name: "QuintetError";
  code:
    | "offline" | "not-found" | "server" | "corrupted" | "bundle" | "simd-missing" | "old-browser"
    | "out-of-memory" | "worker-died" | "cancelled" | "disposed";
  /** What a visitor can do about it, in whole sentences. */
  remedy: string;
}

/**
 * An ensemble whose folds all answer, each in a web worker. Where a bundle keeps the embeddings of rare words for later,
 * they are still being loaded: a text with one waits for them. If they fail it rejects, and the next question tries again.
 */
export interface Ensemble {
  /** What the bundle calls itself. */
  readonly title: string;
  /** The labels' names in order. */
  readonly labels: string[];
  /** A threshold for each label. */
  readonly thresholds: number[];
  /** The number of models. */
  readonly folds: number;
  /** Why the models are not kept for the next visit; `undefined` when they are. */
  readonly notCached: string | undefined;
  /** Classifies a text. Nothing leaves the browser. */
  classify(text: string): Promise<Answer>;
  /** Classifies texts; the answers are in their order. */
  classify(texts: readonly string[]): Promise<Answer[]>;
  /** Ends the workers and gives their memory back. What was not answered rejects. */
  dispose(): void;
}

/**
 * Loads the ensemble from the folder `url` of this site: the one with `manifest.json`, as
 * `native-train export` leaves it.
 */
export function load(url: string, options?: LoadOptions): Promise<Ensemble>;

/** The bytes of models that this site keeps in the browser's cache. */
export function cacheSize(): Promise<number>;

/** Removes all models that this site keeps in the browser's cache. */
export function clearCache(): Promise<void>;
