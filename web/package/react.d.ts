import type { Answer, Ensemble, LoadOptions, PartialAnswer, Progress, QuintetError } from "./quintet.js";

/**
 * Loads an ensemble for as long as the component is there. `load` is that of `quintet` or of `quintet/inline`; a change of `url`
 * loads again, and a change of `options` does not. Beside the ensemble, `progress` is that of what follows: folds after a
 * final model, or rare words.
 */
export function useEnsemble(
  load: (url: string, options?: LoadOptions) => Promise<Ensemble>,
  url: string,
  options?: Omit<LoadOptions, "signal" | "onProgress">,
): { ensemble?: Ensemble; progress?: Progress; error?: QuintetError };

/**
 * The answer to a text: at first of the folds that have answered, and `progress` says how many, then of all. A new text cancels
 * the question about the old one, whose answer stays until the first about the new one.
 */
export function useAnswer(
  ensemble: Ensemble | undefined,
  text: string,
): { answer?: Answer; progress?: PartialAnswer; error?: QuintetError };
