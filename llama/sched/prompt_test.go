package sched

import (
	"strings"
	"testing"

	"cloister/llama/chat"
)

func TestFewestTokens(t *testing.T) {
	turn := func(role, text string) chat.Message { return chat.Message{Role: role, Content: text} }
	for _, tt := range []struct {
		name string
		msgs []chat.Message
		want int
	}{
		{"none", nil, 0},
		{"short", []chat.Message{turn("system", "Be brief."), turn("user", "Hello")}, 2},
		{"long", []chat.Message{turn("user", strings.Repeat("x", 101))}, 11},
		{"white space, which templates trim", []chat.Message{turn("user", strings.Repeat(" \n", 100)+"x")}, 1},
		{"nothing but white space", []chat.Message{turn("user", "  ")}, 0},
		{"reasoning, which templates leave out", []chat.Message{turn("assistant", "<think>"+strings.Repeat("x", 1000)+"</think>Yes.")}, 1},
	} {
		if got := fewestTokens(tt.msgs, 10); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
