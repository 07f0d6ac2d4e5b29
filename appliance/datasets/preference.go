package datasets

import (
	"encoding/json"
	"errors"
)

// pairLine is one line of a preference file. The fields that end with
// "completion" are the names that OpenAI gave them first.
type pairLine struct {
	Input *struct {
		Messages []json.RawMessage `json:"messages"`
		Tools    json.RawMessage   `json:"tools"`
	} `json:"input"`
	Preferred    []json.RawMessage `json:"preferred_output"`
	NonPreferred []json.RawMessage `json:"non_preferred_output"`
	OldPreferred []json.RawMessage `json:"preferred_completion"`
	OldOther     []json.RawMessage `json:"non_preferred_completion"`
	Label        *bool             `json:"label"`
}

// parseLine reads one example: of chat, of a preference pair, or of chat whose
// last answer is judged by "label". The complaint is as parseChat's.
func parseLine(line []byte) ([]turn, judgement, string) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(line, &keys) == nil {
		for _, key := range []string{"preferred_output", "non_preferred_output", "preferred_completion", "non_preferred_completion"} {
			if given(keys[key]) {
				return parsePair(line)
			}
		}
	}
	turns, complaint := parseChat(line)
	if complaint != "" || !given(keys["label"]) {
		return turns, judgement{}, complaint
	}
	var p pairLine
	if json.Unmarshal(line, &p) != nil || p.Label == nil {
		return nil, judgement{}, ": \"label\" must be true or false"
	}
	silence(turns[:len(turns)-1])
	return turns, judgement{desirable: p.Label}, ""
}

// decodeLine reads an object.
func decodeLine(line []byte, into any) (complaint string) {
	err := json.Unmarshal(line, into)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return ": expected an object with a list of \"messages\""
	}
	if err != nil {
		return " is not valid JSON"
	}
	return ""
}

// parsePair reads a preference pair.
func parsePair(line []byte) ([]turn, judgement, string) {
	var p pairLine
	none := judgement{}
	if decodeLine(line, &p) != "" {
		return nil, none, ": expected \"input\" with a list of \"messages\", and \"preferred_output\" and \"non_preferred_output\", lists of one message"
	}
	switch {
	case p.Input == nil || len(p.Input.Messages) == 0:
		return nil, none, ": \"input\" must be an object with a list of \"messages\""
	case given(p.Input.Tools):
		return nil, none, ": training with tools is not supported"
	}
	turns, complaint := parseMessages(p.Input.Messages, "input, ")
	if complaint != "" {
		return nil, none, complaint
	}
	if turns[len(turns)-1].role != "user" {
		return nil, none, ": the last message of \"input\" must be from the user"
	}
	preferred, complaint := parseAnswer("preferred_output", p.Preferred, p.OldPreferred)
	if complaint != "" {
		return nil, none, complaint
	}
	rejected, complaint := parseAnswer("non_preferred_output", p.NonPreferred, p.OldOther)
	if complaint != "" {
		return nil, none, complaint
	}
	if preferred == rejected {
		return nil, none, ": both answers are the same, so neither is preferred"
	}
	silence(turns)
	return append(turns, turn{role: "assistant", content: preferred}), judgement{rejected: rejected}, ""
}

// parseAnswer reads one side of a pair, under its name or its older one.
func parseAnswer(field string, list, old []json.RawMessage) (string, string) {
	if list == nil {
		list = old
	}
	if len(list) != 1 {
		return "", ": \"" + field + "\" must be a list of one message from the assistant"
	}
	turns, complaint := parseMessages(list, field+", ")
	if complaint != "" {
		return "", complaint
	}
	if turns[0].role != "assistant" {
		return "", ": \"" + field + "\" must be a list of one message from the assistant"
	}
	return turns[0].content, ""
}

// silence keeps earlier answers out of the loss.
func silence(turns []turn) {
	for i := range turns {
		if turns[i].role == "assistant" {
			turns[i].weight = new(int)
		}
	}
}
