package appliance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"cloister/appliance"
	"cloister/appliance/admin"
	"cloister/appliance/appliancetest"
	"cloister/appliance/client"
	"cloister/appliance/engine"
	"cloister/appliance/engine/enginetest"
	"cloister/appliance/openai"
	"cloister/llama/llamatest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// open runs an appliance with the real model under these names, real workers
// included, and returns its owner's client and the address of the API. Its
// store is checked at the end.
func open(t *testing.T, names ...string) (owner *client.Client, url string) {
	t.Helper()
	home, err := os.MkdirTemp("", "cl") // a short path, as a socket's must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	a, err := appliance.New(appliance.Config{Home: filepath.Join(home, "h"), Listen: "127.0.0.1:0", Command: []string{os.Args[0]},
		Engine: engine.Options{Context: 512}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(context.Background()) }()
	owner = client.Unix(appliance.ControlSocket(filepath.Join(home, "h")))
	t.Cleanup(func() {
		if check, err := owner.Check(context.Background()); err != nil || !check.OK {
			t.Errorf("%+v, %v", check, err)
		}
		owner.Close()
		a.Shutdown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, name := range names {
		if _, err := owner.ImportModel(t.Context(), admin.ImportModel{Path: llamatest.Model(t), Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	return owner, "http://" + a.Addr()
}

// OpenAI's Go client uploads, trains, polls and chats, with the real model and
// nothing changed but the address.
func TestOpenAIGoClient(t *testing.T) {
	_, url := open(t, "smollm2")
	ctx := t.Context()
	c := openaigo.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey("sk-any"), option.WithMaxRetries(0))
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, `{"messages": [{"role": "user", "content": "Where is form %d?"}, {"role": "assistant", "content": "In tray %d."}]}`+"\n", i, i+3)
	}
	file, err := c.Files.New(ctx, openaigo.FileNewParams{File: openaigo.File(strings.NewReader(b.String()), "chat.jsonl", "application/jsonl"), Purpose: openaigo.FilePurposeFineTune})
	if err != nil {
		t.Fatal(err)
	}
	job, err := c.FineTuning.Jobs.New(ctx, openaigo.FineTuningJobNewParams{Model: "gpt-4o-mini-2024-07-18", TrainingFile: file.ID,
		Method: openaigo.FineTuningJobNewParamsMethod{Type: "supervised", Supervised: openaigo.SupervisedMethodParam{
			Hyperparameters: openaigo.SupervisedHyperparameters{NEpochs: openaigo.SupervisedHyperparametersNEpochsUnion{OfInt: openaigo.Int(1)}}}}})
	for err == nil && job.FinishedAt == 0 {
		time.Sleep(200 * time.Millisecond)
		job, err = c.FineTuning.Jobs.Get(ctx, job.ID)
	}
	if err != nil || job.Status != openaigo.FineTuningJobStatusSucceeded || job.TrainedTokens == 0 {
		t.Fatalf("%+v, %v", job, err)
	}
	if _, err := c.Models.Get(ctx, job.FineTunedModel); err != nil {
		t.Error(err)
	}
	ask := openaigo.ChatCompletionNewParams{Model: job.FineTunedModel, MaxTokens: openaigo.Int(8), Temperature: openaigo.Float(0),
		Messages: []openaigo.ChatCompletionMessageParamUnion{openaigo.UserMessage("Where is form 4?")}}
	answer, err := c.Chat.Completions.New(ctx, ask)
	if err != nil || answer.Model != job.FineTunedModel || answer.Choices[0].Message.Content == "" {
		t.Fatalf("%+v, %v", answer, err)
	}
	stream := c.Chat.Completions.NewStreaming(ctx, ask)
	streamed := openaigo.ChatCompletionAccumulator{}
	for stream.Next() {
		streamed.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || streamed.Choices[0].Message.Content != answer.Choices[0].Message.Content {
		t.Errorf("streamed %+v, %v; whole %q", streamed.Choices, err, answer.Choices[0].Message.Content)
	}
	ask.Messages[0] = openaigo.UserMessage(strings.Repeat("many words ", 400))
	_, err = c.Chat.Completions.New(ctx, ask)
	if e, ok := errors.AsType[*openaigo.Error](err); !ok || e.StatusCode != http.StatusBadRequest || e.Code != "context_length_exceeded" {
		t.Errorf("a prompt that is too long: %v", err)
	}
}

// A file that has a model's header and is none that llama.cpp loads: the user
// learns which field is wrong, the owner why, in one line and without a crash.
func TestModelThatDoesNotLoad(t *testing.T) {
	owner, url := open(t)
	b, err := os.ReadFile(appliancetest.GGUF(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "odd.gguf")
	if err := os.WriteFile(path, bytes.Replace(b, []byte("llama"), []byte("lxama"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.ImportModel(t.Context(), admin.ImportModel{Path: path, Name: "odd"}); err != nil {
		t.Fatal(err)
	}
	user := client.HTTP(url, "")
	defer user.Close()
	question := openai.ChatRequest{Model: "odd", Messages: openai.Messages{{Role: "user", Content: openai.NewContent("Hello")}}}
	for _, c := range []*client.Client{user, owner} {
		_, err := c.Chat(t.Context(), question)
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusInternalServerError || e.Code != "model_not_loadable" || e.Param != "model" {
			t.Fatalf("%+v", err)
		}
		why := strings.Contains(err.Error(), "cannot load the model")
		if why != (c == owner) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q", err)
		}
	}
}

// While releases are switched, every request is answered, and one that comes
// after a switch is answered by the new release.
func TestSwitchLosesNoRequest(t *testing.T) {
	owner, url := open(t, "one", "two")
	ctx := t.Context()
	question := openai.ChatRequest{Model: "support", Messages: openai.Messages{{Role: "user", Content: openai.NewContent("Say hello.")}}, MaxTokens: new(int)}
	*question.MaxTokens = 3
	deploy := func(model string) {
		t.Helper()
		if _, err := owner.Deploy(ctx, admin.Deploy{Model: model, Alias: "support"}); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(want string) {
		t.Helper()
		if got, err := owner.Chat(ctx, question); err != nil || got.Model != want {
			t.Errorf("%s answers (%v), want %s", got.Model, err, want)
		}
	}
	deploy("one")
	answers("one")
	var stop atomic.Bool
	var whole, streamed atomic.Int64
	var wg sync.WaitGroup
	user := client.HTTP(url, "")
	defer user.Close()
	wg.Go(func() {
		for ; !stop.Load(); whole.Add(1) {
			if got, err := user.Chat(ctx, question); err != nil || got.Usage.CompletionTokens == 0 {
				t.Errorf("a request at a switch: %+v, %v", got, err)
				return
			}
		}
	})
	wg.Go(func() {
		for ; !stop.Load(); streamed.Add(1) {
			ended := false
			err := user.ChatStream(ctx, question, func(c openai.ChatChunk) error {
				ended = ended || len(c.Choices) > 0 && c.Choices[0].FinishReason != nil
				return nil
			})
			if err != nil || !ended {
				t.Errorf("a stream at a switch: ended %v, %v", ended, err)
				return
			}
		}
	})
	for range 4 {
		deploy("two")
		answers("two")
		if _, err := owner.Rollback(ctx, "support"); err != nil {
			t.Error(err)
		}
		answers("one")
	}
	stop.Store(true)
	wg.Wait()
	if whole.Load() < 2 || streamed.Load() < 2 {
		t.Errorf("%d requests and %d streams ran beside the switches", whole.Load(), streamed.Load())
	}
}
