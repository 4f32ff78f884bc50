// What every page of these does: it classifies the texts and tells the host, whose log is read.
export async function tell(loading, texts) {
  const words = await answers(loading, texts).then(
    (told) => `answers/${encodeURIComponent(JSON.stringify(told))}`,
    (error) => `failed/${encodeURIComponent(`${error.code}: ${error.message}`)}`,
  );
  await fetch(`/said/${words}`);
}

/** The probabilities of each text for each label. */
export async function answers(loading, texts) {
  const ensemble = await loading;
  const classified = await ensemble.classify(texts);
  return classified.map(({ labels }) => Object.values(labels).map(({ probability }) => probability));
}
