package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// The checkpoint file, little-endian:
//
//	"CLOISTCK", version uint32, length of the header uint32, the header in JSON
//	float32 values: the params, first moments, second moments, and, if the
//	header says so, the best params so far, each in the order of Params
//	SHA-256 of all of the above
const (
	checkpointMagic   = "CLOISTCK"
	checkpointVersion = 2
	checkpointName    = "checkpoint"
	maxHeader         = 16 << 20
)

var errCheckpoint = errors.New("the checkpoint is damaged")

// identity says what a checkpoint belongs to. It may be resumed by a job with
// the same identity only.
type identity struct {
	Base            string `json:"base"`
	Examples        string `json:"examples"`
	Hyperparameters string `json:"hyperparameters"`
	// Settings are the hyper-parameters without a precision that nobody asked
	// for: another device may have chosen another one.
	Settings string `json:"settings,omitempty"`
}

// differs says in words which part is another one; empty if none.
func (a identity) differs(b identity) string {
	switch {
	case a.Base != b.Base:
		return "it belongs to another base model"
	case a.Examples != b.Examples:
		return "it belongs to other examples"
	case a.Hyperparameters != b.Hyperparameters && (a.Settings == "" || a.Settings != b.Settings):
		return "it belongs to other hyper-parameters"
	}
	return ""
}

// state is the position of a run, apart from its matrices.
type state struct {
	Step    int  `json:"step"`    // optimiser steps done, skipped ones included
	Updates int  `json:"updates"` // those that changed the adapter
	Epoch   int  `json:"epoch"`   // epochs done
	Stopped bool `json:"stopped"` // early

	// Of the epoch that runs.
	LossSum float64 `json:"loss_sum"`
	Targets int     `json:"targets"`
	Correct int     `json:"correct"`

	SkippedInARow int       `json:"skipped_in_a_row"`
	Highest       float64   `json:"highest"`      // loss of a step that was not skipped
	HighestNorm   float64   `json:"highest_norm"` // of its gradient
	Early         []float64 `json:"early"`        // losses of the first steps
	EarlySeen     int       `json:"early_seen"`   // examples in them
	Smooth        float64   `json:"smooth"`       // of the loss

	Tokens  int64        `json:"tokens"` // of the examples seen, each time they were seen
	Seconds float64      `json:"seconds"`
	Eval    evaluation   `json:"eval"`           // the last one
	Since   int          `json:"since"`          // evaluations since the best
	Best    *EpochStat   `json:"best,omitempty"` // of the best adapter; nil: none yet
	Curve   []EpochStat  `json:"curve"`
	Kept    []Checkpoint `json:"kept"` // Path is relative to the work folder
}

// position is the header of a checkpoint.
type position struct {
	Identity identity `json:"identity"`
	State    state    `json:"state"`
	HasBest  bool     `json:"has_best"`
	// Arithmetic is the kind of device and its precision, as in "cuda bf16". A run
	// that goes on with another one is the same job, to within roundings.
	Arithmetic string `json:"arithmetic,omitempty"`
}

// snapshot is a checkpoint to be written. Matrices are shaped as the params.
type snapshot struct {
	position
	params, m, v, best []matrix
}

// restored is a checkpoint that was read.
type restored struct {
	position
	params, m, v, best [][]float32
}

// encode writes the file.
func (s *snapshot) encode(w io.Writer) error {
	header, err := json.Marshal(s.position)
	if err != nil {
		return err
	}
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	head := binary.LittleEndian.AppendUint32([]byte(checkpointMagic), checkpointVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(header)))
	if _, err := out.Write(append(head, header...)); err != nil {
		return err
	}
	groups := [][]matrix{s.params, s.m, s.v}
	if s.HasBest {
		groups = append(groups, s.best)
	}
	var buf []byte
	for _, group := range groups {
		for _, matrix := range group {
			values, err := matrix.Values()
			if err != nil {
				return err
			}
			buf = buf[:0]
			for _, v := range values {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err := out.Write(buf); err != nil {
				return err
			}
		}
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// decodeCheckpoint reads a file of size bytes for params of the given lengths.
// It allocates nothing that the size does not justify.
func decodeCheckpoint(r io.Reader, size int64, lengths []int) (*restored, error) {
	sum := sha256.New()
	in := io.TeeReader(r, sum)
	head := make([]byte, len(checkpointMagic)+8)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:len(checkpointMagic)]) != checkpointMagic {
		return nil, fmt.Errorf("%w: it does not begin with %s", errCheckpoint, checkpointMagic)
	}
	if v := binary.LittleEndian.Uint32(head[len(checkpointMagic):]); v != checkpointVersion {
		return nil, fmt.Errorf("the checkpoint has version %d; this program writes version %d", v, checkpointVersion)
	}
	n := int64(binary.LittleEndian.Uint32(head[len(checkpointMagic)+4:]))
	if n > maxHeader || n > size {
		return nil, fmt.Errorf("%w: a header of %d bytes", errCheckpoint, n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(in, header); err != nil {
		return nil, fmt.Errorf("%w: it ends in its header", errCheckpoint)
	}
	s := new(restored)
	if err := json.Unmarshal(header, &s.position); err != nil {
		return nil, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	groups := []*[][]float32{&s.params, &s.m, &s.v}
	if s.HasBest {
		groups = append(groups, &s.best)
	}
	total := int64(0)
	for _, l := range lengths {
		total += int64(l)
	}
	if want := int64(len(head)) + n + 4*total*int64(len(groups)) + sha256.Size; size != want {
		return nil, fmt.Errorf("%w or of another adapter shape: %d bytes, expected %d", errCheckpoint, size, want)
	}
	for _, g := range groups {
		var err error
		if *g, err = readMatrices(in, lengths); err != nil {
			return nil, err
		}
	}
	stored := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r, stored); err != nil || !bytes.Equal(stored, sum.Sum(nil)) {
		return nil, fmt.Errorf("%w: its checksum does not match", errCheckpoint)
	}
	return s, nil
}

func readMatrices(r io.Reader, lengths []int) ([][]float32, error) {
	var out [][]float32
	for _, n := range lengths {
		raw := make([]byte, 4*n)
		if _, err := io.ReadFull(r, raw); err != nil {
			return nil, fmt.Errorf("%w: it ends in its matrices", errCheckpoint)
		}
		matrix := make([]float32, n)
		for i := range matrix {
			matrix[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		out = append(out, matrix)
	}
	return out, nil
}

// saveCheckpoint writes the snapshot into the work folder.
func saveCheckpoint(dir string, s *snapshot) (string, error) {
	path := filepath.Join(dir, checkpointName)
	return path, writeAtomically(path, s.encode)
}

// loadCheckpoint reads the checkpoint of the work folder; nil if there is none.
func loadCheckpoint(dir string, want identity, lengths []int) (*restored, error) {
	f, err := os.Open(filepath.Join(dir, checkpointName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s, err := decodeCheckpoint(f, info.Size(), lengths)
	if err != nil {
		return nil, err
	}
	if why := s.Identity.differs(want); why != "" {
		return nil, errors.New(why)
	}
	return s, nil
}
