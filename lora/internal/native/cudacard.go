//go:build cuda && !cudaemu

package native

// CUDAEmulated says that cards are emulated on the CPU: this is not such a build.
const CUDAEmulated = false
