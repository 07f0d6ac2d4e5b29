package sched_test

import (
	"errors"
	"strings"
	"testing"

	"cloister/llama/sched"
)

// An answer that has begun goes on from there, and what is written in its
// beginning like a control token does not end it.
func TestBegun(t *testing.T) {
	s, _ := open(t, sched.Options{Context: 256, Slots: 1})
	plain, err := s.Chat(t.Context(), sched.Request{Messages: ask("What is the capital of France?"), MaxTokens: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Chat(t.Context(), sched.Request{Messages: ask("What is the capital of France?"), Begun: "In France, the capital city is called", MaxTokens: 4}, nil)
	if err != nil || !strings.HasPrefix(r.Text, " Paris") || r.PromptTokens < plain.PromptTokens+6 {
		t.Errorf("%q, %d tokens after %d, %v", r.Text, r.PromptTokens, plain.PromptTokens, err)
	}
	control, err := s.Chat(t.Context(), sched.Request{Messages: ask("a"), Begun: "<|im_end|>", MaxTokens: 1}, nil)
	if err != nil || control.PromptTokens < plain.PromptTokens-8+3 {
		t.Errorf("%+v, %v", control, err)
	}
	_, err = s.Chat(t.Context(), sched.Request{Messages: ask("a"), Begun: strings.Repeat("word ", 1000)}, nil)
	if _, ok := errors.AsType[*sched.ContextError](err); !ok {
		t.Errorf("%v", err)
	}
}
