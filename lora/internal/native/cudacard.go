//go:build cuda && !cudaemu

package native

/*
#cgo LDFLAGS: -L${SRCDIR}/../../../third_party/cuda/lib -Wl,--start-group -lcloister-kernels -lggml -lggml-cpu -lggml-base -lcublas-cloister -lcuda-build -lcudart_static -Wl,--end-group -lstdc++ -lm -ldl -lrt -lpthread
*/
import "C"

// CUDAEmulated says that cards are emulated on the CPU: this is not such a build.
const CUDAEmulated = false
