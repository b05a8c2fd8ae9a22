// All kernels as one translation unit: what the fat binary is made of.
#include "clahe.cu"
#include "colour.cu"
#include "depth.cu"
#include "fuse.cu"
#include "gather.cu"
#include "range.cu"
#include "shrink.cu"
#include "stitch.cu"
