package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"cloister/appliance/engine"
	"cloister/appliance/feedback"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/store"
)

// parallelChoices bounds how many of a request's choices are generated at the
// same time, so that one request with many does not crowd out the others.
const parallelChoices = 4

// chatCompletions serves POST /v1/chat/completions and its old alias, whose
// path names the model.
func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var req openai.ChatRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	if req.Model == "" {
		req.Model = r.PathValue("engine")
	}
	if req.Model == "" {
		return missing("model")
	}
	call, err := s.prepareChat(r.Context(), &req)
	if err != nil {
		return err
	}
	answer := newCompletion(call)
	if req.Stream != nil && *req.Stream {
		usage := req.StreamOptions != nil && req.StreamOptions.IncludeUsage
		return s.streamChat(r.Context(), newEvents(w), call, answer, usage)
	}
	if err := s.generate(r.Context(), call, &answer); err != nil {
		return err
	}
	return respond(w, http.StatusOK, answer)
}

// newCompletion is an answer without choices.
func newCompletion(call *chatCall) openai.ChatCompletion {
	return openai.ChatCompletion{
		ID:                store.NewID("chatcmpl-"),
		Object:            "chat.completion",
		Created:           time.Now().Unix(),
		Model:             call.model.Name(),
		SystemFingerprint: fingerprint(call.model),
	}
}

// fingerprint names the weights that answer, so that clients notice a change.
func fingerprint(m models.Resolved) string {
	sum := m.Base.SHA256
	if m.Adapter != nil {
		sum = m.Adapter.SHA256
	}
	return "fp_" + sum[:min(len(sum), 12)]
}

// generate fills in all choices of an answer and records it.
func (s *Server) generate(ctx context.Context, call *chatCall, answer *openai.ChatCompletion) error {
	results := make([]engine.ChatResult, call.choices)
	answer.Choices = make([]openai.Choice, call.choices)
	err := s.each(ctx, call, func(ctx context.Context, i int, req engine.ChatRequest) error {
		var logprobs *openai.Logprobs
		if req.Logprobs {
			logprobs = &openai.Logprobs{Content: []openai.TokenLogprob{}}
		}
		result, err := call.engine.Chat(ctx, req, func(c engine.Chunk) error {
			if logprobs != nil {
				logprobs.Content = append(logprobs.Content, wireLogprobs(c.Logprobs)...)
			}
			return nil
		})
		results[i] = result
		text := result.Text
		if err == nil && s.config.MaskAnswers {
			text, err = s.Masking.Whole(call.question(), text)
		}
		answer.Choices[i] = openai.Choice{
			Index:        i,
			Message:      openai.ResponseMessage{Role: "assistant", Content: &text},
			FinishReason: result.FinishReason,
			Logprobs:     logprobs,
		}
		return err
	})
	if err != nil {
		return err
	}
	answer.Usage = wireUsage(results)
	s.record(ctx, call, answer.ID, results[0].Text)
	return nil
}

// each runs f for every choice, a few at a time. With a seed, every choice
// gets its own, or they would all be the same.
func (s *Server) each(ctx context.Context, c *chatCall, f func(ctx context.Context, i int, req engine.ChatRequest) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelChoices)
	for i := range c.choices {
		req := c.request
		if req.Sampling.Seed != nil {
			seed := *req.Sampling.Seed + int64(i)
			req.Sampling.Seed = &seed
		}
		group.Go(func() (err error) {
			defer s.recovered(ctx, &err)
			return f(ctx, i, req)
		})
	}
	return group.Wait()
}

// record keeps an answer, masked, so that it can be rated. A failure costs the
// possibility to rate it and not the answer.
func (s *Server) record(ctx context.Context, call *chatCall, id, text string) {
	if s.Recorder == nil {
		return
	}
	err := s.Recorder.Keep(ctx, feedback.Served{ID: id, Model: call.model.Name(), Alias: call.model.Alias, Messages: call.request.Messages, Answer: text})
	if err != nil {
		s.log.Warn("answer not recorded", "answer", id, "error", err)
	}
}

// wireUsage counts the prompt once and the answers of all choices.
func wireUsage(results []engine.ChatResult) *openai.Usage {
	out := &openai.Usage{
		PromptTokens:            results[0].PromptTokens,
		PromptTokensDetails:     &openai.PromptTokensDetails{CachedTokens: results[0].CachedTokens},
		CompletionTokensDetails: &openai.CompletionTokensDetails{},
	}
	for _, r := range results {
		out.CompletionTokens += r.CompletionTokens
	}
	out.TotalTokens = out.PromptTokens + out.CompletionTokens
	return out
}

func wireLogprobs(in []engine.TokenLogprob) []openai.TokenLogprob {
	out := make([]openai.TokenLogprob, len(in))
	for i, t := range in {
		out[i] = openai.TokenLogprob{Token: t.Token, Logprob: finite(t.Logprob), Bytes: wireBytes(t.Bytes),
			TopLogprobs: make([]openai.TopLogprob, len(t.Top))}
		for j, top := range t.Top {
			out[i].TopLogprobs[j] = openai.TopLogprob{Token: top.Token, Logprob: finite(top.Logprob), Bytes: wireBytes(top.Bytes)}
		}
	}
	return out
}

// finite replaces what JSON cannot hold by OpenAI's word for "very unlikely".
func finite(logprob float64) float64 {
	if math.IsNaN(logprob) || logprob < -9999 {
		return -9999
	}
	return logprob
}

func wireBytes(in []byte) []int {
	out := make([]int, len(in))
	for i, b := range in {
		out[i] = int(b)
	}
	return out
}
