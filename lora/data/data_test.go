package data_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/lora/data"
)

func openVocab(t *testing.T) *llama.Vocab {
	t.Helper()
	v, err := llama.OpenVocab(llamatest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func turn(role, content string) chat.Message { return chat.Message{Role: role, Content: content} }

// show writes a row with its targets in brackets.
func show(v *llama.Vocab, r data.Row) string {
	var b strings.Builder
	in := false
	for i, t := range r.Tokens {
		if r.Mask[i] != in {
			b.WriteString(map[bool]string{true: "[", false: "]"}[r.Mask[i]])
			in = r.Mask[i]
		}
		b.Write(v.Piece(t))
	}
	if in {
		b.WriteString("]")
	}
	return b.String()
}

func TestRender(t *testing.T) {
	v := openVocab(t)
	no := 0
	const user = "<|im_start|>user\n"
	const assistant = "<|im_end|>\n<|im_start|>assistant\n"
	const system = "<|im_start|>system\nBe brief.<|im_end|>\n"
	for _, tt := range []struct {
		name string
		msgs []chat.Message
		max  int
		want string
	}{
		{"one turn", []chat.Message{turn("system", "Be brief."), turn("user", "When?"), turn("assistant", "At 7:40.")}, 0,
			system + user + "When?" + assistant + "[At 7:40.<|im_end|>]\n"},
		{"the template's own system turn", []chat.Message{turn("user", "When?"), turn("assistant", "At 7:40.")}, 0,
			"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n" + user + "When?" + assistant + "[At 7:40.<|im_end|>]\n"},
		{"two turns", []chat.Message{turn("system", "Be brief."), turn("user", "When?"), turn("assistant", "At 7."), turn("user", "Where?"), turn("assistant", "Room 2.")}, 0,
			system + user + "When?" + assistant + "[At 7.<|im_end|>]\n" + user + "Where?" + assistant + "[Room 2.<|im_end|>]\n"},
		{"weight 0", []chat.Message{turn("system", "Be brief."), turn("user", "When?"), {Role: "assistant", Content: "Never.", Weight: &no}, turn("user", "When?"), turn("assistant", "At 7.")}, 0,
			system + user + "When?" + assistant + "Never.<|im_end|>\n" + user + "When?" + assistant + "[At 7.<|im_end|>]\n"},
		{"a question at the end", []chat.Message{turn("system", "Be brief."), turn("user", "When?"), turn("assistant", "At 7."), turn("user", "And?")}, 0,
			system + user + "When?" + assistant + "[At 7.<|im_end|>]\n"},
		{"an empty answer ends at once", []chat.Message{turn("system", "Be brief."), turn("user", "When?"), turn("assistant", "")}, 0,
			system + user + "When?" + assistant + "[<|im_end|>]\n"},
	} {
		r, err := data.Render(v, tt.msgs, tt.max)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := show(v, r); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// The tokens before the answer are those that serving sends.
func TestPromptIsServings(t *testing.T) {
	v := openVocab(t)
	for _, q := range []string{"When?", "Room  214\n3 floors", "몇 시에 여나요?", " leading space", "ends in a space "} {
		msgs := []chat.Message{turn("user", q), turn("assistant", "At 7.")}
		r, err := data.Render(v, msgs, 0)
		if err != nil {
			t.Fatal(err)
		}
		prompt, err := v.Prompt(msgs[:1])
		if err != nil {
			t.Fatal(err)
		}
		if first := slices.Index(r.Mask, true); !slices.Equal(r.Tokens[:first], prompt) {
			t.Errorf("%q: training sees %v, serving %v", q, r.Tokens[:first], prompt)
		}
	}
}

// spaced is a tokenizer of one token a letter that puts a space before every
// text, as SentencePiece does. Letter 'E' ends an answer.
type spaced struct{}

func (spaced) Render(msgs []chat.Message, prompt bool) (string, error) {
	text := ""
	for _, m := range msgs {
		text += map[string]string{"user": "[", "assistant": "]"}[m.Role] + m.Content
		if m.Role == "assistant" {
			text += "E"
		}
	}
	if prompt {
		text += "]"
	}
	return text, nil
}

func (spaced) Tokenize(text string, _ bool) ([]int32, error) {
	return []int32(" " + text), nil
}

func (spaced) IsEOG(t int32) bool { return t == 'E' }
func (spaced) BOS() (int32, bool) { return '<', true }
func (spaced) EOS() int32         { return 'E' }

// No space comes between prompt and answer.
func TestRenderSpaceBeforeText(t *testing.T) {
	r, err := data.Render(spaced{}, []chat.Message{turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := string([]rune(r.Tokens)); got != "< [a]bE[c]dE" {
		t.Errorf("tokens %q", got)
	}
}

func TestRenderTruncatesAndRefuses(t *testing.T) {
	v := openVocab(t)
	msgs := []chat.Message{turn("system", "Be brief."), turn("user", "When?"), turn("assistant", strings.Repeat("very ", 100))}
	r, err := data.Render(v, msgs, 40)
	if err != nil || len(r.Tokens) != 40 || !r.Truncated || r.Targets() == 0 {
		t.Errorf("cut to 40: %d tokens, truncated %v, %v", len(r.Tokens), r.Truncated, err)
	}
	if _, err := data.Render(v, msgs, 10); !errors.Is(err, data.ErrNothingToLearn) {
		t.Errorf("cut before the answer: %v", err)
	}
	if _, err := data.Render(v, msgs[:2], 0); !errors.Is(err, data.ErrNothingToLearn) {
		t.Errorf("no answer: %v", err)
	}
}

// tinyVocab is the vocabulary of a tiny model with the template.
func tinyVocab(t *testing.T, template string, bos bool) *llama.Vocab {
	t.Helper()
	c := tinygguf.Default()
	c.Template, c.AddBOS = template, bos
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	v, err := llama.OpenVocab(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// Templates that write no end of an answer, or join the answer to the prompt.
func TestRenderOtherTemplates(t *testing.T) {
	msgs := []chat.Message{turn("user", "i"), turn("assistant", "n the"), turn("user", "on"), turn("assistant", "a")}
	for _, tt := range []struct {
		name, template string
		bos            bool
		want           string
	}{
		{"no end", `{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + ';' }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}`, false,
			"u:i;a:[n the;<|im_end|>]u:on;a:[a;<|im_end|>]"},
		{"BOS", `{% for m in messages %}{{ m['role'][0] + ':' + m['content'] }}{% if m['role'] == 'assistant' %}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}a:{% endif %}`, true,
			"<|endoftext|>u:ia:[n the<|im_end|>]u:ona:[a<|im_end|>]"},
		{"the prompt's last letter and the answer's first could be one token", `{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}<|im_end|>{% endif %}{% endfor %}`, false,
			"i[n the<|im_end|>]on[a<|im_end|>]"},
	} {
		v := tinyVocab(t, tt.template, tt.bos)
		r, err := data.Render(v, msgs, 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := show(v, r); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
		prompt, err := v.Prompt(msgs[:1])
		if err != nil {
			t.Fatal(err)
		}
		if first := slices.Index(r.Mask, true); !slices.Equal(r.Tokens[:first], prompt) {
			t.Errorf("%s: training sees %v, serving %v", tt.name, r.Tokens[:first], prompt)
		}
	}
	rewriting := `{% for m in messages %}{% if loop.last or m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}`
	if _, err := data.Render(tinyVocab(t, rewriting, false), msgs, 0); err == nil {
		t.Error("a template that drops earlier answers was accepted for two turns")
	}
}

func row(n, from int) data.Row {
	r := data.Row{}
	for i := range n {
		r.Tokens = append(r.Tokens, int32(100*n+i))
		r.Mask = append(r.Mask, i >= from)
	}
	return r
}

func TestPack(t *testing.T) {
	rows := []data.Row{row(6, 3), row(5, 2), row(4, 1), row(12, 6), row(1, 0)}
	got := data.Pack(rows, 10)
	var lengths []int
	targets := 0
	for _, p := range got {
		lengths = append(lengths, len(p.Tokens))
		targets += p.TargetCount()
		for i := range p.Tokens {
			last := i+1 == len(p.Tokens) || p.Seq[i+1] != p.Seq[i]
			if last && p.Targets[i] >= 0 {
				t.Errorf("position %d has a target across a border", i)
			}
			if p.Targets[i] >= 0 && p.Targets[i] != p.Tokens[i+1] {
				t.Errorf("position %d wants %d, the next token is %d", i, p.Targets[i], p.Tokens[i+1])
			}
			if first := i == 0 || p.Seq[i-1] != p.Seq[i]; first != (p.Pos[i] == 0) {
				t.Errorf("position %d is %d within its segment", i, p.Pos[i])
			}
		}
	}
	if !slices.Equal(lengths, []int{12, 10, 6}) {
		t.Errorf("lengths %v; first-fit decreasing gives 12, 10 (6+4), 6 (5+1)", lengths)
	}
	if got[1].Seq[0] != 0 || got[1].Seq[9] != 2 || got[2].Seq[5] != 4 {
		t.Errorf("segments %v and %v do not have the numbers of their rows", got[1].Seq, got[2].Seq)
	}
	if want := 3 + 3 + 3 + 6 + 0; targets != want { // a target at position 0 has nothing before it
		t.Errorf("%d targets, want %d", targets, want)
	}
}

// Lengths as in PEFT's benchmark (shared/bench/peft_train.py): log-normal with a
// median of 134 tokens, between 24 and 512. Waste is the share of the positions
// of full rows that hold no token. Rows that the trainer computes are no longer
// than what they hold, so it computes no such position; but fewer and fuller rows
// run faster.
func TestPackWastesLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 9))
	for _, tt := range []struct{ rows, maxLen int }{{64, 1024}, {64, 2048}, {1000, 1024}, {1000, 512}} {
		worst := 0.0
		for range 20 {
			var rows []data.Row
			tokens := 0
			for range tt.rows {
				n := min(512, max(24, int(math.Exp(4.9+0.6*rng.NormFloat64()))))
				rows = append(rows, row(n, n/3))
				tokens += n
			}
			packed := data.Pack(rows, tt.maxLen)
			last := len(packed[len(packed)-1].Tokens) // what is left over fills no row, however it is packed
			positions := (len(packed)-1)*tt.maxLen + last
			worst = max(worst, 1-float64(tokens)/float64(positions))
		}
		t.Logf("%d rows into packed rows of %d: at most %.2f %% wasted", tt.rows, tt.maxLen, 100*worst)
		if worst > 0.03 {
			t.Errorf("%d rows into packed rows of %d: %.1f %% of the positions are wasted", tt.rows, tt.maxLen, 100*worst)
		}
	}
}

func TestOrder(t *testing.T) {
	a, b, c := data.Order(50, 7, 1), data.Order(50, 7, 1), data.Order(50, 7, 2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("the order must depend on seed and epoch, and on nothing else")
	}
	slices.Sort(a)
	for i, v := range a {
		if i != v {
			t.Fatalf("%d is missing", i)
		}
	}
}
