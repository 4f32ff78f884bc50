"use client";
import { useEffect } from "react";
import { load } from "quintet";
import { useAnswer, useEnsemble } from "quintet/react";
import { tell } from "../../tell.js";
import texts from "../../texts.json";

// Tells of progress when the ensemble is there already, as while folds follow a final model.
async function loadAndGoOn(url, options) {
  const ensemble = await load(url, options);
  setTimeout(() => options.onProgress({ received: 1, total: 1 }));
  return ensemble;
}

export default function Page() {
  const { ensemble, error } = useEnsemble(loadAndGoOn, "/bundle/");
  const { answer, progress } = useAnswer(ensemble, texts[0]);
  useEffect(() => {
    if (ensemble || error) tell(ensemble ?? Promise.reject(error), texts);
  }, [ensemble, error]);
  useEffect(() => {
    // Of the whole ensemble, after that of each fold.
    if (answer && !progress) fetch(`/said/hook/${JSON.stringify(Object.values(answer.labels).map((label) => label.probability))}`);
  }, [answer, progress]);
  return <p>{answer ? Object.keys(answer.labels).join(", ") : "loading"}</p>;
}
