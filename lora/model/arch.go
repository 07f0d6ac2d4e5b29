package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloister/lora/internal/native"
)

// ErrArchitecture is wrapped by Open's error about a model that it cannot train.
var ErrArchitecture = errors.New("architecture not supported")

// family is one architecture: what distinguishes its block from the others'.
// Adding an architecture is a new entry and a test against llama.cpp's logits.
type family struct {
	neox       bool              // RoPE pairs i with i+half, not 2i with 2i+1
	activation native.Activation // of the gated unit
	biases     []slot            // matrices that may have a bias
}

// families by general.architecture.
var families = map[string]family{
	// Llama 1 to 3, Mistral, SmolLM2 and their relatives.
	"llama": {neox: false, activation: native.SiLU, biases: allSlots},
}

// Architectures that can be trained.
func Architectures() []string { return slices.Sorted(maps.Keys(families)) }

// slot is one of the matrices of a layer that may have an adapter.
type slot int

const (
	attnQ slot = iota
	attnK
	attnV
	attnOutput
	ffnGate
	ffnUp
	ffnDown
	slots
)

var allSlots = []slot{attnQ, attnK, attnV, attnOutput, ffnGate, ffnUp, ffnDown}

var slotNames = [slots]string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}

func (s slot) String() string { return slotNames[s] }

// group is the matrices that read the same input, in the order of the forward pass.
type group struct {
	name  string
	slots []slot
}

const (
	groupQKV = iota
	groupOutput
	groupGateUp
	groupDown
)

var groups = [...]group{
	groupQKV:    {"attn_qkv", []slot{attnQ, attnK, attnV}},
	groupOutput: {"attn_output", []slot{attnOutput}},
	groupGateUp: {"ffn_gate_up", []slot{ffnGate, ffnUp}},
	groupDown:   {"ffn_down", []slot{ffnDown}},
}

// parseTargets turns names into slots, in the order of the layer.
func parseTargets(names []string) ([]slot, error) {
	if len(names) == 0 {
		return allSlots, nil
	}
	var out []slot
	for _, s := range allSlots {
		if slices.Contains(names, s.String()) {
			out = append(out, s)
		}
	}
	for _, n := range names {
		if !slices.Contains(slotNames[:], n) {
			return nil, fmt.Errorf("no matrix %q to adapt; choose from %s", n, strings.Join(slotNames[:], " "))
		}
	}
	return out, nil
}
