package ingest

import (
	"bytes"
	"fmt"
	"io"

	"github.com/xuri/excelize/v2"
)

// The largest XLSX file that is read, packed and unpacked, in bytes.
const (
	maxXLSX         = 64 << 20
	maxXLSXUnpacked = 256 << 20
)

// readXLSX reads one sheet of a workbook, row by row.
func (rd *reader) readXLSX(in io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(in, maxXLSX+1))
	if err != nil {
		return err
	}
	if len(data) > maxXLSX {
		return rd.fail(0, 0, "", "the file is larger than %d MiB; save it as CSV, which has no such limit", maxXLSX>>20)
	}
	var book *excelize.File
	err = guard(func() (err error) {
		// Both limits equal: above the second, excelize would unpack into plain
		// files on disk.
		book, err = excelize.OpenReader(bytes.NewReader(data), excelize.Options{
			UnzipSizeLimit: maxXLSXUnpacked, UnzipXMLSizeLimit: maxXLSXUnpacked,
		})
		return err
	})
	if err != nil {
		return &Error{File: rd.file, Msg: "the workbook cannot be read; save it anew as .xlsx without a password, or as CSV", Err: err}
	}
	defer func() { _ = book.Close() }() // nothing was written
	sheets := book.GetSheetList()
	if rd.o.Sheet != "" {
		if i, err := book.GetSheetIndex(rd.o.Sheet); err != nil || i < 0 {
			return rd.fail(0, 0, "", "there is no sheet %q; it has: %s", rd.o.Sheet, newResolver(sheets).list())
		}
		sheets = []string{rd.o.Sheet}
	}
	for _, sheet := range sheets {
		used, err := rd.readSheet(book, sheet)
		if used || err != nil {
			return err
		}
	}
	return rd.fail(0, 0, "", "there are no rows in it")
}

// guard runs code of the workbook reader, which is not proof against every
// hostile file, and turns a panic of it into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the workbook reader gave up: %T", p) // the value might quote the file
		}
	}()
	return f()
}

// readSheet reads a sheet; used is false if it has no rows.
func (rd *reader) readSheet(book *excelize.File, sheet string) (used bool, err error) {
	var rows *excelize.Rows
	row := 0
	broken := func(err error) error {
		return &Error{File: rd.file, Row: row, Msg: "the sheet cannot be read from here on; save the workbook anew, or as CSV", Err: err}
	}
	if err := guard(func() (err error) { rows, err = book.Rows(sheet); return err }); err != nil {
		return false, broken(err)
	}
	defer func() { _ = rows.Close() }()
	next := func() (c cells, err error) {
		err = guard(func() error {
			for rows.Next() {
				row++
				values, err := rows.Columns()
				if err != nil {
					return err
				}
				if c = (cells{values: values, row: row}); !c.empty() {
					return nil
				}
			}
			if err := rows.Error(); err != nil {
				return err
			}
			return io.EOF
		})
		if err != nil && err != io.EOF {
			err = broken(err)
		}
		return c, err
	}
	first, err := next()
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	pending := true
	return true, rd.readTable(func() (cells, error) {
		if pending {
			pending = false
			return first, nil
		}
		return next()
	})
}
