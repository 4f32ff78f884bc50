#!/bin/sh
# nvcc, but for candle's kernels for quantised models: they take it half an hour, and no program here is linked with them
# (`without_quantised` in shared/autoload-cuda/build.rs). For each of them this writes an empty object.
output=''
unused=''
before=''
for argument; do
  [ "$before" = -o ] && output=$argument
  case $argument in
    */mmq_gguf/*.cu | */moe/*.cu | */mmvq_gguf.cu) unused=yes ;;
  esac
  before=$argument
done
case " $* " in
  *' -c '*) [ -n "$unused" ] && : >"$output" && exit ;;
esac
exec "$QUINTET_NVCC" "$@"
