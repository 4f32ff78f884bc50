// Compiles where the package's types are right.
import { clearCache, load } from "quintet";
import type { Answer, Ensemble, Explanation, QuintetError } from "quintet";
import { load as loadInline } from "quintet/inline";
import { useAnswer, useEnsemble } from "quintet/react";

export async function everything(signal: AbortSignal): Promise<number> {
  const ensemble: Ensemble = await load(new URL("https://a.example/bundle/"), {
    models: "final-then-folds",
    integrity: "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    folds: 2,
    memory: 1e9,
    signal,
    onProgress: ({ received, total }) => console.log(received / total),
  });
  const one: Answer = await ensemble.classify("one", {
    signal,
    onAnswer: (answer, { fold, answered, of }) => console.log(answer.labels, fold, answered, of),
  });
  const many: Answer[] = await ensemble.classify(["one", "two"], { onAnswer: (answers) => console.log(answers.length) });
  const explanation: Explanation = await ensemble.explain("one", ensemble.labels[0], { signal });
  await ensemble.loadFolds({ signal });
  ensemble.dispose();
  await clearCache();
  // @ts-expect-error: there are no such models.
  await loadInline("bundle/", { models: "all" }).catch((error: QuintetError) => error.remedy);
  return one.labels.joy.probability + many.length + explanation.words[0].change;
}

export function useBoth(text: string): number | undefined {
  const { ensemble, progress, error } = useEnsemble(loadInline, "bundle/", { folds: 1 });
  const { answer } = useAnswer(ensemble, text);
  return answer?.labels.joy.probability ?? progress?.total ?? error?.message.length;
}
