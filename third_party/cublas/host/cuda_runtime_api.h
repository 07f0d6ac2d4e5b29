// In place of CUDA's header of this name, for builds on the host: what cublas_v2.h needs of it.
#pragma once
typedef struct CUstream_st * cudaStream_t;
