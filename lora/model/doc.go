// Package model computes the loss of a LoRA adapter on a GGUF model and the
// gradient of every one of its matrices.
//
// The frozen weights stay as they are in the file, quantised and mapped; each
// product dequantises them block by block. Forward and backward are written
// out layer by layer (layer.go) over a table of kernels that
// package native supplies. Residuals, norms, softmax and products are float32.
// DESIGN.md in the folder above has the maths with shapes.
//
// A Model is for one goroutine at a time. It owns memory outside Go's heap
// (parameters, gradients, activations): Param.Data and Param.Grad are valid
// until Close, and the file behind the model must not change before then.
// Results depend on neither the number of threads nor the memory limit: the
// same parameters and batches give the same bytes on the same kind of CPU.
package model
