package ingest

import "encoding/json"

// pair makes a record of a preference pair in OpenAI's form:
//
//	{"input": {"messages": […]}, "preferred_output": [answer], "non_preferred_output": [answer]}
//
// Each answer is one message of the assistant. Answers within the input are
// what was said before, and not learnt.
func (rd *reader) pair(obj map[string]json.RawMessage, row, line int) error {
	var input struct {
		Messages json.RawMessage `json:"messages"`
		Tools    json.RawMessage `json:"tools"`
	}
	if kind(obj["input"]) != '{' || json.Unmarshal(obj["input"], &input) != nil || kind(input.Messages) != '[' {
		return rd.fail(row, line, "input", "the field must be an object with a list of \"messages\"")
	}
	if present(input.Tools) && string(input.Tools) != "[]" {
		return rd.fail(row, line, "input", "it has tools; training on tool calls is not supported, remove the record")
	}
	msgs, err := rd.messages("input", input.Messages, row, line)
	if err != nil {
		return err
	}
	if msgs[len(msgs)-1].Role != RoleUser {
		return rd.fail(row, line, "input", "the last message does not have the role user; the answers belong into preferred_output and non_preferred_output")
	}
	preferred, err := rd.output("preferred_output", obj, row, line)
	if err != nil {
		return err
	}
	rejected, err := rd.output("non_preferred_output", obj, row, line)
	if err != nil {
		return err
	}
	silence(msgs)
	rec := simple(append(msgs, Message{Role: RoleAssistant, Content: preferred}))
	rec.Row, rec.Line, rec.Rejected = row, line, rejected
	return rd.emit(rec)
}

// output reads one side of a pair: a list of one message of the assistant.
func (rd *reader) output(key string, obj map[string]json.RawMessage, row, line int) (string, error) {
	raw, ok := obj[key]
	if !ok {
		return "", rd.fail(row, line, key, "the field is missing; a pair has a preferred_output and a non_preferred_output")
	}
	msgs, err := rd.messages(key, raw, row, line)
	switch {
	case err != nil:
		return "", err
	case len(msgs) != 1 || msgs[0].Role != RoleAssistant:
		return "", rd.fail(row, line, key, "the field must be a list of one message with the role assistant")
	case msgs[0].Content == "":
		return "", rd.fail(row, line, key, "the answer is empty")
	}
	return msgs[0].Content, nil
}

// silence keeps the answers among earlier messages out of the loss.
func silence(msgs []Message) {
	for i := range msgs {
		if msgs[i].Role == RoleAssistant {
			msgs[i].Weight = new(int)
		}
	}
}
