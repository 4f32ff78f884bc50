export { cacheSize, clearCache, load } from "./quintet_bindings.js";
export type {
  Answer,
  Ensemble,
  LabelAnswer,
  LoadOptions,
  Progress,
  QuintetError,
} from "./quintet_bindings.js";
