package api_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// The whole path with OpenAI's own Go client, with nothing changed but the address.
func TestOpenAIGoClient(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	c := openaigo.NewClient(option.WithBaseURL(f.url+"/v1"), option.WithAPIKey("sk-any"), option.WithHTTPClient(f.http))

	file, err := c.Files.New(ctx, openaigo.FileNewParams{
		File: openaigo.File(strings.NewReader(examples(15)), "train.jsonl", "application/jsonl"), Purpose: openaigo.FilePurposeFineTune,
	})
	if err != nil {
		t.Fatal(err)
	}
	job, err := c.FineTuning.Jobs.New(ctx, openaigo.FineTuningJobNewParams{
		Model: base, TrainingFile: file.ID, Suffix: openaigo.String("go"), Metadata: shared.Metadata{"a": "b"},
		Method: openaigo.FineTuningJobNewParamsMethod{Type: "supervised", Supervised: openaigo.SupervisedMethodParam{
			Hyperparameters: openaigo.SupervisedHyperparameters{NEpochs: openaigo.SupervisedHyperparametersNEpochsUnion{OfInt: openaigo.Int(2)}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool {
		job, err = c.FineTuning.Jobs.Get(ctx, job.ID)
		return err != nil || job.Status == openaigo.FineTuningJobStatusSucceeded
	}) || err != nil {
		t.Fatalf("%+v, %v", job, err)
	}
	if job.Error.Code != "" || job.TrainedTokens != 300 || job.Hyperparameters.NEpochs.OfInt != 2 {
		t.Errorf("%s", job.RawJSON())
	}
	events := 0
	for pager := c.FineTuning.Jobs.ListEventsAutoPaging(ctx, job.ID, openaigo.FineTuningJobListEventsParams{Limit: openaigo.Int(4)}); pager.Next(); events++ {
		if err := pager.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if events < 10 || events > 40 {
		t.Errorf("%d events", events)
	}
	checkpoints, err := c.FineTuning.Jobs.Checkpoints.List(ctx, job.ID, openaigo.FineTuningJobCheckpointListParams{})
	if err != nil || len(checkpoints.Data) != 3 {
		t.Errorf("%+v, %v", checkpoints, err)
	}
	result, err := c.Files.Content(ctx, job.ResultFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	csv, err := io.ReadAll(result.Body)
	if err != nil || !strings.HasPrefix(string(csv), "step,train_loss") {
		t.Errorf("%s, %v", csv, err)
	}

	ask := openaigo.ChatCompletionNewParams{Model: job.FineTunedModel, Messages: []openaigo.ChatCompletionMessageParamUnion{
		openaigo.SystemMessage("You are the front desk."), openaigo.UserMessage("say Open at nine"),
	}, Temperature: openaigo.Float(0), StreamOptions: openaigo.ChatCompletionStreamOptionsParam{IncludeUsage: openaigo.Bool(true)}}
	answer, err := c.Chat.Completions.New(ctx, ask)
	if err != nil || answer.Choices[0].Message.Content != "Open at nine" {
		t.Errorf("%+v, %v", answer, err)
	}
	stream := c.Chat.Completions.NewStreaming(ctx, ask)
	collected := openaigo.ChatCompletionAccumulator{}
	for stream.Next() {
		if !collected.AddChunk(stream.Current()) {
			t.Errorf("the client cannot add %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil || collected.Choices[0].Message.Content != "Open at nine" || collected.Usage.CompletionTokens != 3 {
		t.Errorf("%+v, %v", collected.ChatCompletion, err)
	}

	ask.Messages = []openaigo.ChatCompletionMessageParamUnion{openaigo.UserMessage("die")}
	stream = c.Chat.Completions.NewStreaming(ctx, ask)
	for stream.Next() {
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "process died") {
		t.Errorf("a broken stream gives %v", err)
	}
	if _, err := c.Models.Get(ctx, job.FineTunedModel); err != nil {
		t.Error(err)
	}
	if deleted, err := c.Models.Delete(ctx, checkpoints.Data[1].FineTunedModelCheckpoint); err != nil || !deleted.Deleted {
		t.Errorf("%+v, %v", deleted, err)
	}
	if deleted, err := c.Files.Delete(ctx, file.ID); err != nil || !deleted.Deleted {
		t.Errorf("%+v, %v", deleted, err)
	}
	_, err = c.FineTuning.Jobs.New(ctx, openaigo.FineTuningJobNewParams{Model: base, TrainingFile: "file-nobody"})
	if e, ok := errors.AsType[*openaigo.Error](err); !ok || e.StatusCode != 400 || e.Param != "training_file" {
		t.Errorf("%v", err)
	}
}

// Every route of the specification that the appliance serves was held against
// its schema at least once.
func TestEveryRouteIsChecked(t *testing.T) {
	f := newFixture(t)
	job := f.wait(t, f.job(t).ID)
	f.do("POST", "/v1/chat/completions", ask("say a")).ok(t, nil)
	f.do("POST", "/v1/chat/completions", ask("say a", "stream", true)).ok(t, nil)
	f.do("GET", "/v1/models", nil).ok(t, nil)
	f.do("GET", "/v1/models/"+base, nil).ok(t, nil)
	f.do("GET", "/v1/files", nil).ok(t, nil)
	f.do("GET", "/v1/files/"+job.TrainingFile, nil).ok(t, nil)
	f.do("GET", "/v1/fine_tuning/jobs", nil).ok(t, nil)
	f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/events", nil).ok(t, nil)
	f.do("GET", "/v1/fine_tuning/jobs/"+job.ID+"/checkpoints", nil).ok(t, nil)
	f.do("DELETE", "/v1/models/"+*job.FineTunedModel, nil).ok(t, nil)
	f.do("DELETE", "/v1/files/"+job.TrainingFile, nil).ok(t, nil)
	f.block()
	f.do("POST", "/v1/fine_tuning/jobs/"+f.job(t).ID+"/cancel", nil).ok(t, nil)
	var seen []string
	f.routes.Range(func(route, _ any) bool { seen = append(seen, fmt.Sprint(route)); return true })
	if len(seen) != 15 {
		t.Errorf("%d routes were checked, want 15: %s", len(seen), strings.Join(seen, "\n"))
	}
}
