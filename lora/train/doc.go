// Package train runs a training job: it renders and packs the examples,
// chooses what the user left open, and turns them into a LoRA adapter that
// llama.cpp loads.
//
// A step takes BatchSize examples, packs them into rows that do not see each
// other, sums the loss over all their targets and divides by their number,
// clips the gradient and updates the adapter by AdamW. After each epoch the
// validation loss says whether this is the best adapter so far.
//
// The work folder belongs to one job. It holds one checkpoint, with the
// adapter, the optimiser's moments, the position in the data and the best
// adapter so far, and never text of an example; and the adapters of the last
// epochs. A job that was killed at any point and is run again gives the same
// adapter, byte for byte, as one that was not. The caller removes the folder
// when it has recorded the result: until then a finished job that is run again
// gives its result at once.
//
// Run is safe for concurrent use with different work folders. It calls emit
// from its own goroutine, in order.
package train
