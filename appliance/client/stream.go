package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"cloister/appliance/openai"
)

// errStreamCut is returned when a stream ends before its last line.
var errStreamCut = errors.New("the connection to the appliance broke before the answer was complete")

// maxLine bounds one line of a stream.
const maxLine = 64 << 20

// lines calls each for every JSON line of a response until it returns true,
// and closes the response.
func lines[T any](ctx context.Context, resp *http.Response, each func(T) (done bool, err error)) error {
	defer resp.Body.Close()
	s := bufio.NewScanner(resp.Body)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	for s.Scan() {
		var line T
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return fmt.Errorf("the answer of the appliance could not be read: %w", err)
		}
		if done, err := each(line); done || err != nil {
			return err
		}
	}
	return streamEnd(ctx, s.Err())
}

// streamEnd says why a stream ended early.
func streamEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStreamCut, err)
	}
	return errStreamCut
}

// upload posts options as the part "options" and the bytes of file, if there
// is one, as the part "file", without holding the file in memory.
func (c *Client) upload(ctx context.Context, path string, options any, fileName string, file io.Reader) (*http.Response, error) {
	pipe, body := io.Pipe()
	form := multipart.NewWriter(body)
	go func() {
		body.CloseWithError(writeForm(form, options, fileName, file))
	}()
	resp, err := c.send(ctx, http.MethodPost, path, form.FormDataContentType(), pipe)
	pipe.Close() // ends the goroutine when the appliance answered before it had read all
	return resp, err
}

func writeForm(form *multipart.Writer, options any, fileName string, file io.Reader) error {
	part, err := form.CreateFormField("options")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(part).Encode(options); err != nil {
		return err
	}
	if file != nil {
		if part, err = form.CreateFormFile("file", fileName); err != nil {
			return err
		}
		if _, err := io.Copy(part, file); err != nil {
			return err
		}
	}
	return form.Close()
}

// Chat asks for an answer. Request.Stream is ignored.
func (c *Client) Chat(ctx context.Context, req openai.ChatRequest) (openai.ChatCompletion, error) {
	req.Stream, req.StreamOptions = nil, nil
	return post[openai.ChatCompletion](ctx, c, "/v1/chat/completions", req)
}

// ChatStream asks for an answer and calls each for every piece of it. An error
// of each ends the request and is returned.
func (c *Client) ChatStream(ctx context.Context, req openai.ChatRequest, each func(openai.ChatChunk) error) error {
	stream := true
	req.Stream = &stream
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.send(ctx, http.MethodPost, "/v1/chat/completions", "application/json", bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s := bufio.NewScanner(resp.Body)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	for s.Scan() {
		data, ok := bytes.CutPrefix(s.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			return nil
		}
		var event struct {
			openai.ChatChunk
			Error *openai.Error `json:"error"`
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return fmt.Errorf("the answer of the appliance could not be read: %w", err)
		}
		if event.Error != nil {
			return newError(0, "", *event.Error)
		}
		if err := each(event.ChatChunk); err != nil {
			return err
		}
	}
	return streamEnd(ctx, s.Err())
}
