package model

import (
	"slices"

	"cloister/lora/internal/native"
)

// HasBF16 says whether this CPU has kernels that multiply BF16. They are what
// runs unless Config.Float32 or Config.Naive says otherwise.
func HasBF16() bool { return slices.ContainsFunc(native.Levels(), native.Level.BF16) }
