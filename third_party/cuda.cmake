# CMake includes this at llama.cpp's project() call, in the CUDA build only. ggml-cuda names cuBLAS's static
# libraries as what its users link; Cloister links what it wants itself, so empty targets do.
foreach(lib cublas_static cublasLt_static)
    add_library(CUDA::${lib} INTERFACE IMPORTED GLOBAL)
endforeach()
