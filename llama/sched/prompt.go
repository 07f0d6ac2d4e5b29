package sched

import (
	"strings"

	"cloister/llama"
	"cloister/llama/chat"
)

// CountTokens renders the messages as Chat would and returns their number of
// tokens. Messages that are certain not to fit are a *ContextError at once.
func (s *Scheduler) CountTokens(messages []chat.Message) (int, error) {
	tokens, err := s.prompt(messages, "")
	return len(tokens), err
}

// prompt renders and tokenises. Templates take a time that grows with the
// square of the number of messages, and cannot be stopped, so messages that
// are certain not to fit are not rendered.
func (s *Scheduler) prompt(messages []chat.Message, begun string) ([]int32, error) {
	if n := fewestTokens(messages, s.longest) + len(begun)/s.longest; n >= s.limit {
		return nil, &ContextError{Limit: s.limit, Prompt: n}
	}
	return s.model.PromptFrom(messages, begun)
}

// fewestTokens is a number of tokens that messages have at least, when no token
// has more than longest bytes: one a message, more for a long text. Templates
// trim texts, and leave parts of the assistant's out, such as its reasoning.
func fewestTokens(messages []chat.Message, longest int) int {
	n := 0
	for _, m := range messages {
		text := len(strings.TrimSpace(m.Content))
		switch {
		case text == 0:
		case m.Role == "assistant":
			n++
		default:
			n += (text + longest - 1) / longest
		}
	}
	return n
}

// longestToken is the length of the longest token's text, in bytes.
func longestToken(m *llama.Model) int {
	longest := 1
	for t := range int32(m.Size()) {
		longest = max(longest, len(m.Piece(t)))
	}
	return longest
}
