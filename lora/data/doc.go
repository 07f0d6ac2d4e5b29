// Package data turns conversations into what training eats: rows of tokens
// with a mask of the tokens to learn, and packed rows of several examples.
//
// Rendering is serving's own: the prompt of an example is tokenised exactly as
// the request that asks for its answer, and the answer as the model would have
// generated it. The functions are pure and safe for concurrent use as far as
// the Vocab is.
package data
