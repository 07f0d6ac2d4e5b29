package model

import (
	"slices"

	"cloister/lora/internal/native"
)

// Precision is the arithmetic of products. All else is float32 always.
type Precision string

// Precisions. The last two agree with PyTorch in float32; BF16x3 is several
// times faster than Float32 where the CPU has it.
const (
	BF16    Precision = "bf16"    // operands rounded to BF16, sums in float32
	BF16x3  Precision = "bf16x3"  // operands in two parts of BF16, three products of them, sums in float32
	Float32 Precision = "float32" // nothing rounded
)

// Precisions are those that this CPU has kernels for, the fastest first.
func Precisions() []Precision {
	out := []Precision{Float32}
	if native.AMXBF16x3.Supported() {
		out = append(out, BF16x3)
	}
	if slices.ContainsFunc(native.Levels(), native.Level.BF16) {
		out = append(out, BF16)
	}
	slices.Reverse(out)
	return out
}

// PrecisionsOn are those that a device has kernels for, the fastest first.
func PrecisionsOn(device string) []Precision {
	if onCard(device) {
		return cardPrecisions
	}
	return Precisions()
}

// level is the set of kernels that is asked for.
func (c *Config) level() native.Level {
	switch {
	case c.Naive:
		return native.Naive
	case c.Precision == Float32:
		return native.Float32
	case c.Precision == BF16x3:
		return native.AMXBF16x3
	}
	return native.Best
}
