package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"cloister/appliance/api"
	"cloister/appliance/openai"
)

// chunks decodes the events of a stream and checks that it ends with [DONE].
func chunks(t *testing.T, a answer) []openai.ChatChunk {
	t.Helper()
	if a.status != 200 || !strings.Contains(a.header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%d, %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	events := sseData(a.body)
	if events[len(events)-1] != "[DONE]" {
		t.Fatalf("the stream does not end with [DONE]: %s", a.body)
	}
	out := make([]openai.ChatChunk, len(events)-1)
	for i, event := range events[:len(events)-1] {
		if strings.Contains(event, `"error"`) {
			t.Errorf("a key error in a chunk: %s", event)
		}
		if err := json.Unmarshal([]byte(event), &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestStreamOrder(t *testing.T) {
	f := newFixture(t)
	got := chunks(t, f.do("POST", "/v1/chat/completions", ask("say 안녕 to you", "stream", true)))
	if len(got) != 5 {
		t.Fatalf("%d chunks: %+v", len(got), got)
	}
	if d := got[0].Choices[0].Delta; d.Role != "assistant" || d.Content == nil || *d.Content != "" {
		t.Errorf("first delta %+v", d)
	}
	text := ""
	for _, c := range got[1:4] {
		if d := c.Choices[0].Delta; d.Role != "" || d.Content == nil || *d.Content == "" {
			t.Errorf("delta %+v", d)
		} else {
			text += *d.Content
		}
		if c.Choices[0].FinishReason != nil {
			t.Error("a finish_reason in the middle")
		}
	}
	last := got[4].Choices[0]
	if text != "안녕 to you" || last.Delta.Content != nil || last.Delta.Role != "" || *last.FinishReason != "stop" {
		t.Errorf("%q, last %+v", text, last)
	}
	for _, c := range got {
		if c.ID != got[0].ID || c.Created != got[0].Created || c.Model != base || c.Usage.Present {
			t.Errorf("chunk %+v", c)
		}
	}
}

func TestStreamUsage(t *testing.T) {
	f := newFixture(t)
	got := chunks(t, f.do("POST", "/v1/chat/completions", ask("say a b", "stream", true, "stream_options", map[string]bool{"include_usage": true})))
	last := got[len(got)-1]
	if len(last.Choices) != 0 || last.Usage.Usage == nil || last.Usage.Usage.CompletionTokens != 2 {
		t.Errorf("%+v", last)
	}
	for _, c := range got[:len(got)-1] {
		if !c.Usage.Present || c.Usage.Usage != nil {
			t.Errorf("usage is not null in %+v", c)
		}
	}
}

func TestStreamChoices(t *testing.T) {
	f := newFixture(t)
	got := chunks(t, f.do("POST", "/v1/chat/completions", ask("seed", "stream", true, "n", 3, "seed", 7, "logprobs", true)))
	texts, roles, ends := [3]string{}, [3]int{}, [3]int{}
	for _, c := range got {
		choice := c.Choices[0]
		if choice.Delta.Role != "" {
			roles[choice.Index]++
		}
		if choice.Delta.Content != nil && *choice.Delta.Content != "" {
			texts[choice.Index] += *choice.Delta.Content
			if choice.Logprobs == nil || len(choice.Logprobs.Content) != 1 {
				t.Errorf("logprobs %+v", choice.Logprobs)
			}
		}
		if choice.FinishReason != nil {
			ends[choice.Index]++
		}
	}
	if texts != [3]string{"7", "8", "9"} || roles != [3]int{1, 1, 1} || ends != [3]int{1, 1, 1} {
		t.Errorf("texts %q, roles %v, ends %v", texts, roles, ends)
	}
}

// A failure after the first byte is the last event, and there is no [DONE].
func TestStreamBreaks(t *testing.T) {
	f := newFixture(t)
	got := f.do("POST", "/v1/chat/completions", ask("die", "stream", true))
	events := sseData(got.body)
	last := events[len(events)-1]
	var body struct{ Error wireError }
	if err := json.Unmarshal([]byte(last), &body); err != nil || body.Error.Code != "worker_died" {
		t.Errorf("last event %s", last)
	}
	if got.status != 200 || strings.Contains(string(got.body), "[DONE]") {
		t.Errorf("%d: %s", got.status, got.body)
	}
	whole := f.do("POST", "/v1/chat/completions", ask("die"))
	whole.refused(t, 503, "", "worker_died")
	if whole.header.Get("X-Should-Retry") != "true" || whole.header.Get("Retry-After") != "1" {
		t.Errorf("headers %v", whole.header)
	}
}

// A client that goes away frees the engine.
func TestDisconnectCancels(t *testing.T) {
	for _, stream := range []bool{true, false} {
		f := newFixture(t)
		ctx, cancel := context.WithCancel(t.Context())
		data, err := json.Marshal(ask("stuck", "stream", stream, "n", 2))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(ctx, "POST", f.url+"/v1/chat/completions", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			resp, err := http.DefaultClient.Do(r)
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
		if !eventually(func() bool { running, _ := f.engine.state(); return running == 2 }) {
			t.Fatal("the requests did not reach the engine")
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("no error for a request that was cancelled")
		}
		if !eventually(func() bool { running, cancelled := f.engine.state(); return running == 0 && cancelled == 2 }) {
			t.Errorf("stream %v: the engine still works for a client that has gone", stream)
		}
	}
}

// Chunks arrive while the answer is still being made.
func TestStreamIsLive(t *testing.T) {
	f := newFixture(t)
	release := make(chan struct{})
	f.engine.before = func(word int) {
		if word == 1 {
			<-release
		}
	}
	data, err := json.Marshal(ask("say first second", "stream", true))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(f.url+"/v1/chat/completions", "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "first ") {
			break
		}
	}
	close(release) // a server that holds the first word back never gets here
	rest := ""
	for lines.Scan() {
		rest += lines.Text()
	}
	if !strings.Contains(rest, "second") || !strings.Contains(rest, "[DONE]") {
		t.Errorf("rest %q", rest)
	}
}

// A masking appliance shows nobody's number, whole or in pieces, counts what the
// model has written, and refuses what would show the tokens.
func TestMaskAnswers(t *testing.T) {
	f := newFixture(t, func(c *api.Config) { c.MaskAnswers = true })
	const said, want = "call 010-9876-5432 or gildong@example.org <PERSON_3>", "call [PHONE] or [EMAIL] [PERSON]"
	var whole openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("say "+said)).ok(t, &whole)
	if got := *whole.Choices[0].Message.Content; got != want || whole.Usage.CompletionTokens != len(strings.Fields(said)) {
		t.Errorf("%q, %+v", got, whole.Usage)
	}
	a := f.do("POST", "/v1/chat/completions", ask("say "+said, "stream", true, "n", 2, "stream_options", map[string]bool{"include_usage": true}))
	text := map[int]string{}
	got := chunks(t, a)
	for _, c := range got[:len(got)-1] {
		d := c.Choices[0].Delta
		if d.Content != nil {
			text[c.Choices[0].Index] += *d.Content
			if *d.Content == "" && d.Role == "" {
				t.Errorf("an empty delta: %+v", c)
			}
		}
	}
	if text[0] != want || text[1] != want || got[len(got)-1].Usage.Usage.CompletionTokens != 2*len(strings.Fields(said)) {
		t.Errorf("%v, %+v", text, got[len(got)-1])
	}
	if bytes.Contains(a.body, []byte("9876")) {
		t.Errorf("%s", a.body)
	}
	var simple struct{ Response string }
	f.do("POST", "/api/chat", map[string]any{"message": "say " + said, "model": base}).ok(t, &simple)
	if simple.Response != want {
		t.Errorf("%q", simple.Response)
	}
	f.do("POST", "/v1/chat/completions", ask("say a", "logprobs", true)).refused(t, 400, "logprobs", "unsupported_value")
	// What is kept for ratings is masked by the vault, as ever.
	stored, err := f.store.Answer(whole.ID)
	if err != nil || !strings.HasPrefix(stored.Answer, "call <PHONE_1> or <EMAIL_1>") {
		t.Errorf("%q, %v", stored.Answer, err)
	}
}
