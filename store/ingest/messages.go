package ingest

import (
	"encoding/json"
	"strings"
)

// wireMessage is a turn as OpenAI's files have it (role, content, weight) or
// as ShareGPT's do (from, value).
type wireMessage struct {
	Role         string          `json:"role"`
	From         string          `json:"from"`
	Content      json.RawMessage `json:"content"`
	Value        json.RawMessage `json:"value"`
	Weight       *int            `json:"weight"`
	ToolCalls    json.RawMessage `json:"tool_calls"`
	FunctionCall json.RawMessage `json:"function_call"`
}

// roles maps the words of files to ours.
var roles = map[string]string{
	"system": RoleSystem, "developer": RoleSystem,
	"user": RoleUser, "human": RoleUser,
	"assistant": RoleAssistant, "gpt": RoleAssistant,
}

// conversation makes a record of an array of messages, and of "label" beside
// it, true or false, what is thought of its last answer.
func (rd *reader) conversation(key string, raw json.RawMessage, obj map[string]json.RawMessage, row, line int) error {
	msgs, err := rd.messages(key, raw, row, line)
	if err != nil {
		return err
	}
	answers := 0
	for _, m := range msgs {
		if m.Role == RoleAssistant {
			answers++
		}
	}
	switch {
	case answers == 0:
		return rd.fail(row, line, key, "no message has the role assistant; there is nothing to learn")
	case msgs[len(msgs)-1].Role != RoleAssistant:
		return rd.fail(row, line, key, "the last message does not have the role assistant; remove it")
	}
	names := sortedKeys(obj)
	resolved := newResolver(names)
	at, msg := resolved.extra(rd.o)
	if msg != "" {
		return rd.fail(row, line, "", "%s", strings.ReplaceAll(msg, "column", "field"))
	}
	extra, err := rd.extra(obj, names, at, row, line)
	if err != nil {
		return err
	}
	var desirable *bool
	if label, ok := obj["label"]; ok && (kind(label) == 't' || kind(label) == 'f') {
		desirable = new(bool)
		*desirable = kind(label) == 't'
		silence(msgs[:len(msgs)-1])
	}
	rec := simple(msgs)
	rec.Row, rec.Line, rec.Extra, rec.Desirable = row, line, extra, desirable
	return rd.emit(rec)
}

// messages reads an array of turns.
func (rd *reader) messages(key string, raw json.RawMessage, row, line int) ([]Message, error) {
	var wire []wireMessage
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, rd.fail(row, line, key, "the messages are not objects with \"role\" and \"content\"")
	}
	if len(wire) == 0 {
		return nil, rd.fail(row, line, key, "there are no messages")
	}
	msgs := make([]Message, 0, len(wire))
	for i, w := range wire {
		m, msg := w.message()
		if msg == "" && m.Role == RoleSystem && i > 0 {
			msg = "has the role system but is not the first"
		}
		if msg != "" {
			return nil, rd.fail(row, line, key, "message %d %s", i+1, msg)
		}
		msgs = append(msgs, m)
	}
	return msgs, nil
}

// message checks one turn; the complaint is empty if it is fine.
func (w wireMessage) message() (Message, string) {
	role, ok := roles[strings.ToLower(or(w.Role, w.From))]
	switch {
	case w.Role == "" && w.From == "":
		return Message{}, "has no role"
	case present(w.ToolCalls) || present(w.FunctionCall) || w.Role == "tool" || w.Role == "function":
		return Message{}, "belongs to a tool call; training on tool calls is not supported, remove the record"
	case !ok:
		return Message{}, "has a role that is none of system, developer, user and assistant"
	case w.Weight != nil && *w.Weight != 0 && *w.Weight != 1:
		return Message{}, "has a weight that is neither 0 nor 1"
	case w.Weight != nil && role != RoleAssistant:
		return Message{}, "has a weight, which only assistant messages can have"
	}
	raw := w.Content
	if w.Role == "" {
		raw = w.Value
	}
	text, ok := content(raw)
	if !ok {
		return Message{}, "has a content that is not a text"
	}
	return Message{Role: role, Content: text, Weight: w.Weight}, ""
}

func present(raw json.RawMessage) bool { return kind(raw) != 0 && kind(raw) != 'n' }

// content returns a string, or the texts of an array of parts.
func content(raw json.RawMessage) (string, bool) {
	switch kind(raw) {
	case '"':
		return scalar(raw)
	case '[':
		var parts []struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if json.Unmarshal(raw, &parts) != nil {
			return "", false
		}
		var b strings.Builder
		for _, p := range parts {
			if p.Type != "text" || p.Text == nil {
				return "", false
			}
			b.WriteString(*p.Text)
		}
		return b.String(), true
	}
	return "", false
}

// simple turns [system] user assistant without weight 0 into question and
// answer, so that all rows of that meaning are treated alike.
func simple(msgs []Message) Record {
	rest, system := msgs, ""
	if rest[0].Role == RoleSystem {
		system, rest = rest[0].Content, rest[1:]
	}
	if len(rest) == 2 && rest[0].Role == RoleUser && rest[1].Role == RoleAssistant &&
		(rest[1].Weight == nil || *rest[1].Weight == 1) {
		return Record{System: system, Question: rest[0].Content, Answer: rest[1].Content}
	}
	return Record{Messages: msgs}
}
