"use client";
// Two hooks. They take `load`, so that they serve each entry point of the package.
import { useEffect, useState } from "react";

export function useEnsemble(load, url, options) {
  const [state, set] = useState({});
  useEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    const unless = (told) => signal.aborted || set(told);
    set({});
    // Folds that follow a final model are loaded when the ensemble is there already.
    const onProgress = (progress) => unless((old) => ({ ...old, progress }));
    const loading = load(url, { ...options, signal, onProgress });
    loading.then((ensemble) => unless({ ensemble }), (error) => unless({ error }));
    return () => {
      control.abort();
      loading.then((ensemble) => ensemble.dispose(), () => {});
    };
  }, [load, url]);
  return state;
}

export function useAnswer(ensemble, text) {
  const [state, set] = useState({});
  useEffect(() => {
    if (!ensemble || !text) return set({});
    const control = new AbortController();
    const { signal } = control;
    const unless = (told) => signal.aborted || set(told);
    const onAnswer = (answer, progress) => unless({ answer, progress });
    ensemble.classify(text, { signal, onAnswer }).then((answer) => unless({ answer }), (error) => unless({ error }));
    return () => control.abort();
  }, [ensemble, text]);
  return state;
}
