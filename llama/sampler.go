package llama

import (
	"fmt"
	"math"
	"math/rand/v2"

	"cloister/llama/internal/capi"
)

// Sampling says how the next token is chosen. The zero value is greedy.
type Sampling struct {
	Temperature      float32           `json:"temperature"`          // 0: greedy
	TopK             int               `json:"top_k"`                // 0: off
	TopP             float32           `json:"top_p"`                // 0 or 1: off
	MinP             float32           `json:"min_p"`                // 0: off
	RepeatPenalty    float32           `json:"repeat_penalty"`       // 0 or 1: off
	PresencePenalty  float32           `json:"presence_penalty"`     // 0: off
	FrequencyPenalty float32           `json:"frequency_penalty"`    // 0: off
	Seed             *int64            `json:"seed,omitempty"`       // nil: random
	LogitBias        map[int32]float32 `json:"logit_bias,omitempty"` // by token id
}

// penaltyWindow is the number of tokens that the penalties look back on.
const penaltyWindow = 256

// Sampler chooses tokens for one answer. It remembers what it chose.
type Sampler struct {
	s *capi.Sampler
	// plain: the likeliest token is the choice, if it may be chosen at all. The
	// chain would make a list of all tokens first, for each answer and step.
	plain  bool
	banned func(tok int32) bool // nil: none is
}

// NewSampler builds the chain in llama.cpp's order: bias, penalties, top-k,
// top-p, min-p, temperature, choice. ignoreEOS makes the end tokens impossible.
// With a grammar (see [SchemaGrammar]) the answer is one of its texts, unless it
// is cut short; an end token is chosen only where a text may end.
func (m *Model) NewSampler(o Sampling, ignoreEOS bool, grammar string) (*Sampler, error) {
	s := m.chain(o, ignoreEOS)
	if grammar != "" {
		if err := s.SetGrammar(m.m, grammar); err != nil {
			s.Free()
			return nil, err
		}
	}
	out := &Sampler{s: s, plain: o.Temperature <= 0 && !o.penalises() && len(o.LogitBias) == 0 && grammar == ""}
	if ignoreEOS {
		out.banned = m.IsEOG
	}
	return out, nil
}

func (o Sampling) penalises() bool {
	return o.RepeatPenalty != 0 && o.RepeatPenalty != 1 || o.PresencePenalty != 0 || o.FrequencyPenalty != 0
}

// SchemaGrammar returns the grammar of the texts that a JSON schema takes, in
// llama.cpp's notation (GBNF).
func SchemaGrammar(schema string) (string, error) {
	g, err := capi.SchemaGrammar(schema)
	if err != nil {
		return "", fmt.Errorf("the JSON schema cannot be followed: %w", err)
	}
	return g, nil
}

func (m *Model) chain(o Sampling, ignoreEOS bool) *capi.Sampler {
	s := capi.NewSampler()
	s.AddLogitBias(m.m, m.bias(o.LogitBias, ignoreEOS))
	if o.penalises() {
		repeat := o.RepeatPenalty
		if repeat == 0 {
			repeat = 1
		}
		s.AddPenalties(m.m, penaltyWindow, repeat, o.FrequencyPenalty, o.PresencePenalty)
	}
	if o.Temperature <= 0 {
		s.AddGreedy()
		return s
	}
	if o.TopK > 0 {
		s.AddTopK(o.TopK)
	}
	if o.TopP > 0 && o.TopP < 1 {
		s.AddTopP(o.TopP)
	}
	if o.MinP > 0 {
		s.AddMinP(o.MinP)
	}
	s.AddTemp(o.Temperature)
	seed := rand.Uint32()
	if o.Seed != nil {
		seed = uint32(*o.Seed) ^ uint32(uint64(*o.Seed)>>32)
	}
	s.AddDist(seed)
	return s
}

func (m *Model) bias(given map[int32]float32, ignoreEOS bool) map[int32]float32 {
	if !ignoreEOS {
		return given
	}
	out := make(map[int32]float32, len(given))
	for t, b := range given {
		out[t] = b
	}
	for t := range int32(m.Size()) {
		if m.IsEOG(t) {
			out[t] = float32(math.Inf(-1))
		}
	}
	return out
}

// Sample chooses the token that follows index i of the context's last batch.
// Without a grammar there is no error.
func (s *Sampler) Sample(c *Context, i int) (int32, error) {
	if s.plain {
		if tok := c.c.Likeliest(i); tok >= 0 && (s.banned == nil || !s.banned(tok)) {
			return tok, nil
		}
	}
	return s.s.Sample(c.c, i)
}

// Close frees the sampler.
func (s *Sampler) Close() { s.s.Free() }
