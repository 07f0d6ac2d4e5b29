package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// space is the first part of a key, up to and with "/". The parts after it are
// joined by a zero byte, which names never hold. Numbers and times (nanoseconds
// since 1970) are 16 hexadecimal digits, so that the order of keys is theirs. An
// index entry holds the key of the record that it leads to.
//
//	meta/schema                               version of this key space, decimal
//
//	base/<name>                               BaseModel
//	dataset/<name>                            Dataset
//	version/<dataset> 0 <number>              storedVersion: Version and the id of its set
//	example/<set> 0 <ordinal>                 Example, in row order, from 0
//	group/<set> 0 <group>                     split of the group: all groups of the dataset so far
//	stage/<set>                               a set that no version has: being written, or to be swept
//
//	file/<id>                                 File; its bytes are files/<id> beside Badger
//	file.time/<created> 0 <id>                index
//	file.stage/<id>                           a file whose content may have its name already, and that has no record yet
//	job/<id>                                  Job
//	job.time/<created> 0 <id>                 index
//	event/<job> 0 <seq>                       Event
//	event.id/<job> 0 <id>                     index
//	event.last/<job>                          highest seq of the job's events
//	adapter/<name>                            Adapter
//	adapter.time/<created> 0 <name>           index
//	adapter.job/<job> 0 <created> 0 <name>    index of those that a job made
//	evaluation/<id>                           Evaluation
//	evaluation.time/<created> 0 <id>          index
//	evaluation.model/<model> 0 <created> 0 <id>  index
//	release/<alias> 0 <number>                Release
//	alias/<name>                              Alias
//
//	answer/<id>                               Answer
//	answer.time/<created> 0 <id>              index
//	feedback/<id>                             Feedback
//	feedback.time/<created> 0 <id>            index
//	feedback.answer/<answer> 0 <created> 0 <id>  index
//
//	key/<id>                                  Key
//	key.hash/<hash>                           index
//	audit/<seq>                               Audit
//	audit.last/                               highest seq
//	setting/<name>                            JSON of whatever the setting is
//	setting/secret/<name>                     JSON of sealed bytes
//	setting/origin/<adapter>                  Origin
//	gone/<space><name>                        tombstone: when the record was deleted
//
//	vault/<project> 0 l <32 bytes>            mask token of a value, by HMAC
//	vault/<project> 0 v <token>               its value, sealed
//	vault/<project> 0 n <entity>              highest number reserved, 8 bytes
//	vault/<project> 0 p <32 bytes>            surrogate of a value, by HMAC
//	vault/<project> 0 s <surrogate>           its entity and value, sealed
type space string

const (
	metaSpace            space = "meta/"
	baseSpace            space = "base/"
	datasetSpace         space = "dataset/"
	versionSpace         space = "version/"
	exampleSpace         space = "example/"
	groupSpace           space = "group/"
	stageSpace           space = "stage/"
	fileSpace            space = "file/"
	fileStageSpace       space = "file.stage/"
	fileTimeSpace        space = "file.time/"
	jobSpace             space = "job/"
	jobTimeSpace         space = "job.time/"
	eventSpace           space = "event/"
	eventIDSpace         space = "event.id/"
	eventLastSpace       space = "event.last/"
	adapterSpace         space = "adapter/"
	adapterTimeSpace     space = "adapter.time/"
	adapterJobSpace      space = "adapter.job/"
	evaluationSpace      space = "evaluation/"
	evaluationTimeSpace  space = "evaluation.time/"
	evaluationModelSpace space = "evaluation.model/"
	releaseSpace         space = "release/"
	aliasSpace           space = "alias/"
	answerSpace          space = "answer/"
	answerTimeSpace      space = "answer.time/"
	feedbackSpace        space = "feedback/"
	feedbackTimeSpace    space = "feedback.time/"
	feedbackAnswerSpace  space = "feedback.answer/"
	keySpace             space = "key/"
	keyHashSpace         space = "key.hash/"
	auditSpace           space = "audit/"
	auditLastSpace       space = "audit.last/"
	settingSpace         space = "setting/"
	goneSpace            space = "gone/"
	vaultSpace           space = "vault/"
)

// maxName is the longest name in bytes, so that keys stay short.
const maxName = 512

// key returns the key with the parts.
func (s space) key(parts ...string) []byte {
	return []byte(string(s) + strings.Join(parts, "\x00"))
}

// under returns what the keys begin with whose first parts these are.
func (s space) under(parts ...string) []byte {
	k := s.key(parts...)
	if len(parts) > 0 {
		k = append(k, 0)
	}
	return k
}

// number is a part of a key that sorts as the number does.
func number(n uint64) string { return fmt.Sprintf("%016x", n) }

// moment is a part of a key that sorts as the time does, for times from 1970 on.
func moment(t time.Time) string { return number(uint64(max(0, t.UnixNano()))) }

// spaceOf returns the space that a key is in.
func spaceOf(key []byte) space {
	i := strings.IndexByte(string(key), '/')
	return space(key[:i+1])
}

// parseNumber reads what number wrote.
func parseNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("a number in the key space does not read: %w", ErrCorrupt)
	}
	return n, nil
}

// readable returns the parts of a record's key as a name for errors.
func readable(parts []string) string {
	s := parts[0]
	for _, p := range parts[1:] {
		if n, err := parseNumber(p); err == nil {
			p = strconv.FormatUint(n, 10)
		}
		s += "@" + p
	}
	return s
}
