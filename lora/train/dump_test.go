package train_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/train"
)

// dumped reads a safetensors file: its metadata, and the words of each tensor.
func dumped(t *testing.T, path string) (map[string]string, map[string][]uint32, map[string][]int) {
	t.Helper()
	raw := readFile(t, path)
	n := binary.LittleEndian.Uint64(raw)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	if n%8 != 0 {
		t.Errorf("the data begin at byte %d", 8+n)
	}
	var metadata map[string]string
	words, shapes := map[string][]uint32{}, map[string][]int{}
	end := 0
	for name, text := range header {
		if name == "__metadata__" {
			if err := json.Unmarshal(text, &metadata); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var d struct {
			Dtype  string `json:"dtype"`
			Shape  []int  `json:"shape"`
			Offset [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(text, &d); err != nil || d.Dtype != "F32" && d.Dtype != "I32" {
			t.Fatalf("%s: %s, %v", name, text, err)
		}
		end, shapes[name] = max(end, d.Offset[1]), d.Shape
		for at := d.Offset[0]; at < d.Offset[1]; at += 4 {
			words[name] = append(words[name], binary.LittleEndian.Uint32(raw[8+int(n)+at:]))
		}
	}
	if 8+int(n)+end != len(raw) {
		t.Errorf("%d bytes, the header says %d", len(raw), 8+int(n)+end)
	}
	return metadata, words, shapes
}

// The dump of the first step is the reference's loss and gradient on the first
// examples of the file, at the adapter that the run began with.
func TestDumpGradients(t *testing.T) {
	first := request(t, writeTiny(t))
	mustRun(t, first)
	req := request(t, first.BasePath)
	req.InitPath = first.OutPath
	req.DumpPath = filepath.Join(t.TempDir(), "gradients.safetensors")
	req.Hyperparameters.Rank, req.Hyperparameters.Alpha, req.Hyperparameters.NoShuffle = 0, 0, true
	req.Hyperparameters.MaxGradNorm = 1e-3 // the dump is from before clipping
	_, events := mustRun(t, req)
	metadata, words, shapes := dumped(t, req.DumpPath)

	start, err := train.ReadAdapter(first.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRef(req.BasePath, model.Config{Rank: start.Rank, Alpha: float32(start.Alpha)})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range r.params {
		write(p.Data, start.Tensors[i].Data)
	}
	rows := rendered(t, req.BasePath, req.Train)[:3]
	targets, loss := 0, 0.0
	for _, row := range rows {
		targets += row.Targets()
	}
	for n, row := range rows {
		packed := data.Pack([]data.Row{row}, 0)[0]
		l, err := r.Backward((*model.Batch)(&packed), 1/float64(targets))
		if err != nil {
			t.Fatal(err)
		}
		loss += l.Sum / float64(targets)
		for what, want := range map[string][]int32{"tokens": packed.Tokens, "targets": packed.Targets} {
			name := fmt.Sprintf("example.%d.%s", n, what)
			if !slices.EqualFunc(words[name], want, func(a uint32, b int32) bool { return int32(a) == b }) {
				t.Errorf("%s is %v, want %v", name, words[name], want)
			}
		}
	}
	if got, err := strconv.ParseFloat(metadata["loss"], 64); err != nil || math.Abs(got-loss) > 1e-9 || metadata["targets"] != strconv.Itoa(targets) || metadata["examples"] != "3" {
		t.Errorf("metadata %v, the loss is %g of %d targets", metadata, loss, targets)
	}
	if e := events.kind("step")[0]; fmt.Sprint(e.Loss) != metadata["loss"] || fmt.Sprint(e.GradNorm) != metadata["norm"] {
		t.Errorf("metadata %v, the step's event %+v", metadata, e)
	}
	for _, p := range r.params {
		if !slices.Equal(shapes[p.Name], []int{p.Rows, p.Cols}) || len(words[p.Name]) != p.Len() {
			t.Fatalf("%s has the shape %v and %d values", p.Name, shapes[p.Name], len(words[p.Name]))
		}
		grad := values(p.Grad)
		for i, bits := range words[p.Name] {
			if got := math.Float32frombits(bits); math.Abs(float64(got-grad[i])) > 1e-6 {
				t.Fatalf("%s, value %d: %g, want %g", p.Name, i, got, grad[i])
			}
		}
	}
	if len(words) != len(r.params)+2*3 {
		t.Errorf("%d tensors", len(words))
	}
}
