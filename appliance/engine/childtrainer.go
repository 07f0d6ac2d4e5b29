package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"cloister/lora/train"
)

// ChildTrainer is the Trainer and Estimator in a worker process of the same
// binary. The examples go through the worker's standard input and never into a
// file.
type ChildTrainer struct {
	// Exe is the command line that runs ServeTrain on its standard input and output.
	Exe []string
}

var (
	_ Trainer   = ChildTrainer{}
	_ Estimator = ChildTrainer{}
)

// Train implements Trainer. When the worker dies, the error wraps
// ErrWorkerDied, and the same request resumes from the last checkpoint.
func (t ChildTrainer) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	end, err := t.run(ctx, trainRequest{Request: req}, emit)
	if end.Result == nil {
		return train.Result{}, err
	}
	return *end.Result, err
}

// Estimate implements Estimator.
func (t ChildTrainer) Estimate(ctx context.Context, req train.Request) (train.Estimation, error) {
	end, err := t.run(ctx, trainRequest{Estimate: true, Request: req}, nil)
	if err != nil {
		return train.Estimation{}, err
	}
	return *end.Estimation, nil
}

// Plan plans the memory of a training run, in the process that would train: it
// knows what is free there, and starts no driver in this one.
func (t ChildTrainer) Plan(ctx context.Context, c train.PlanConfig) (train.Memory, error) {
	end, err := t.run(ctx, trainRequest{Plan: &c}, nil)
	if err != nil {
		return train.Memory{}, err
	}
	return *end.Memory, nil
}

// run gives a new worker the request and returns the line that closes it.
func (t ChildTrainer) run(ctx context.Context, req trainRequest, emit func(train.Event)) (trainLine, error) {
	cmd := command(t.Exe)
	last := new(tail)
	cmd.Stderr = last
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return trainLine{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return trainLine{}, err
	}
	if err := cmd.Start(); err != nil {
		return trainLine{}, fmt.Errorf("cannot start a training worker: %w", err)
	}
	stopped := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stopped()
	go func() { _ = writeLine(stdin, req) }() // stdin stays open: its end would stop the worker
	end, err := readTraining(stdout, emit)
	_, _ = io.Copy(io.Discard, stdout)
	_ = stdin.Close()
	_ = cmd.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return end, fmt.Errorf("training: %w: %s", ErrWorkerDied, last)
	}
	return end, err
}

// readTraining reads the worker's lines until the one that closes the request.
func readTraining(r io.Reader, emit func(train.Event)) (trainLine, error) {
	dec := json.NewDecoder(r)
	for {
		var line trainLine
		if err := dec.Decode(&line); err != nil {
			return line, err
		}
		switch {
		case line.Error != nil:
			return line, line.Error.err()
		case line.Result != nil, line.Estimation != nil, line.Memory != nil:
			return line, nil
		case line.Event != nil && emit != nil:
			emit(*line.Event)
		}
	}
}
