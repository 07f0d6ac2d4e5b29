package ingest_test

import (
	"reflect"
	"strings"
	"testing"

	"cloister/store/ingest"
)

func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		name, file, content string
		o                   ingest.Options
		want                []string
	}{
		{"lines", "a.jsonl", "{\"question\":\"q1\",\"answer\":\"a1\"}\n\n{\"prompt\":\"q2\",\"completion\":\"a2\"}\r\n", ingest.Options{}, []string{"1/1 q1=a1", "3/3 q2=a2"}},
		{"lines with BOM", "a.jsonl", "\uFEFF{\"question\":\"q\",\"answer\":\"a\"}", ingest.Options{}, []string{"1/1 q=a"}},
		{"instruction", "a.jsonl", `{"instruction":"add","input":"1 2","output":"3"}`, ingest.Options{}, []string{"1/1 add\n\n1 2=3"}},
		{"scalars", "a.jsonl", `{"question":"q","answer":42}` + "\n" + `{"question":"q","answer":true}` + "\n" + `{"question":"q","answer":null}`, ingest.Options{},
			[]string{"1/1 q=42", "2/2 q=true", "3/3 q="}},
		{"Korean", "a.jsonl", `{"질문":"몇 시?","답변":"열 시"}`, ingest.Options{}, []string{"1/1 몇 시?=열 시"}},
		{"fields by option", "a.jsonl", `{"in":{"x":1},"Frage":"q","Antwort":"a"}`, ingest.Options{QuestionColumn: "Frage", AnswerColumn: "Antwort"}, []string{"1/1 q=a"}},
		{"array", "a.json", `[{"question":"q1","answer":"a1"}, {"question":"q2","answer":"a2"}]`, ingest.Options{}, []string{"1/0 q1=a1", "2/0 q2=a2"}},
		{"array named jsonl", "a.jsonl", `[{"question":"q1","answer":"a1"}]`, ingest.Options{}, []string{"1/0 q1=a1"}},
		{"no extension", "export", ` [{"question":"q1","answer":"a1"}]`, ingest.Options{}, []string{"1/0 q1=a1"}},
		{"data", "a.json", `{"version":1,"data":[{"question":"q1","answer":"a1"}],"n":{"x":[]}}`, ingest.Options{}, []string{"1/0 q1=a1"}},
		{"data of columns", "a.json", `{"data":{"question":["q1","q2"],"answer":["a1","a2"]}}`, ingest.Options{}, []string{"1/0 q1=a1", "2/0 q2=a2"}},
		{"columns", "a.json", `{"id":[1,2],"question":["q1","q2"],"answer":["a1","a2"],"note":"x"}`, ingest.Options{}, []string{"1/0 q1=a1", "2/0 q2=a2"}},
		{"one object", "a.json", `{"question":"q1","answer":"a1","items":3}`, ingest.Options{}, []string{"1/0 q1=a1"}},
		{"objects one after another", "a.json", "{\"question\":\"q1\",\"answer\":\"a1\"}\n{\n\"question\":\"q2\",\"answer\":\"a2\"}", ingest.Options{}, []string{"1/0 q1=a1", "2/0 q2=a2"}},
		{"OpenAI, one turn", "a.jsonl", `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":1}]}`, ingest.Options{}, []string{"1/1 q=a"}},
		{"parts", "a.jsonl", `{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"q"}]},{"role":"assistant","content":"a"}]}`, ingest.Options{}, []string{"1/1 qq=a"}},
		{"ShareGPT", "a.json", `[{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}]`, ingest.Options{}, []string{"1/0 q=a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pairs(mustRead(t, tt.file, tt.content, tt.o)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestConversation(t *testing.T) {
	zero := 0
	content := `{"messages":[{"role":"developer","content":"s"},{"role":"user","content":"q1"},{"role":"assistant","content":"a1","weight":0},` +
		`{"role":"user","content":"q2"},{"role":"assistant","content":"a2"}],"source":"desk"}`
	recs := mustRead(t, "a.jsonl", content, ingest.Options{Extra: []string{"source"}})
	want := ingest.Record{Row: 1, Line: 1, Extra: map[string]string{"source": "desk"}, Messages: []ingest.Message{
		{Role: "system", Content: "s"}, {Role: "user", Content: "q1"}, {Role: "assistant", Content: "a1", Weight: &zero},
		{Role: "user", Content: "q2"}, {Role: "assistant", Content: "a2"},
	}}
	if len(recs) != 1 || !reflect.DeepEqual(recs[0], want) {
		t.Fatalf("got %+v", recs)
	}
	if got := recs[0].Prompt(); got != "q1\nq2" {
		t.Errorf("Prompt() = %q", got)
	}
	if !reflect.DeepEqual(recs[0].Turns(), want.Messages) {
		t.Errorf("Turns() = %+v", recs[0].Turns())
	}
}

func TestSystemOfConversation(t *testing.T) {
	recs := mustRead(t, "a.jsonl", `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}`, ingest.Options{})
	want := ingest.Record{Row: 1, Line: 1, System: "s", Question: "q", Answer: "a"}
	if !reflect.DeepEqual(recs[0], want) {
		t.Errorf("got %+v", recs[0])
	}
}

// TestWrapperAcrossBuffers puts the key "data" at every place around the ends
// of the decoder's buffers.
func TestWrapperAcrossBuffers(t *testing.T) {
	for n := 480; n < 540; n++ {
		content := `{"x":"` + strings.Repeat("x", n) + `","data":[{"question":"q","answer":"a"}]}`
		if recs := mustRead(t, "a.json", content, ingest.Options{}); len(recs) != 1 {
			t.Fatalf("n=%d: %d records", n, len(recs))
		}
	}
}
