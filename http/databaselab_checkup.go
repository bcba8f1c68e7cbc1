package http

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// Reports of postgres-checkup and of the programs that came after it.

func (d *dialect) checkupRoutes() []route {
	return []route{
		labFunction(d, "checkup_report_create", "Begin a report", "project.created record.kept", d.reportCreate, domain.LabCheckup),
		labLargeFunction(d, "checkup_report_file_post", "Keep a file of a report", "record.kept", d.reportFilePost, domain.LabCheckup),
		labFunction(d, "checkup_report_delete", "Delete reports with their files", "records.removed", d.reportDelete, domain.LabDelete),
		labDownload(d, "checkup_report_json_download", "Download the JSON files of a report", d.reportDownload),
		labView(d, "checkup_reports", "List reports", d.reports, nil, domain.LabRead),
		labView(d, "checkup_report_files", "List files of reports", d.reportFiles, nil, domain.LabRead),
		labView(d, "checkup_report_file_data", "Read files of reports", d.reportFilesData, d.finishFilesData, domain.LabRead),
	}
}

// labLabel is a name that some send as a number.
type labLabel string

// UnmarshalJSON takes a string or a number.
func (l *labLabel) UnmarshalJSON(value []byte) error {
	switch value[0] {
	case '"':
		return json.Unmarshal(value, (*string)(l))
	case '{', '[', 't', 'f':
		return &json.UnmarshalTypeError{Value: map[byte]string{'{': "object", '[': "array", 't': "bool", 'f': "bool"}[value[0]], Type: reflect.TypeFor[string]()}
	case 'n':
		return nil
	}
	*l = labLabel(value)
	return nil
}

type reportCreate struct {
	labCaller
	Project *string  `json:"project"`
	Epoch   labLabel `json:"epoch"`
	Status  string   `json:"status"`
}

type reportCreated struct {
	ReportID domain.Position `json:"report_id"`
}

// reportCreate answers rpc/checkup_report_create. An epoch is a label: whoever sends a
// report again has another report.
func (d *dialect) reportCreate(ctx context.Context, c Caller, asked reportCreate) (any, error) {
	project, err := labText("project", asked.Project, "name the project")
	if err != nil {
		return nil, err
	}
	if err := labShort("epoch", string(asked.Epoch), asked.Status); err != nil {
		return nil, err
	}
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.CheckupReport, Project: project}, parcel{facts: map[string]any{
		"epoch": string(asked.Epoch), "status": asked.Status,
	}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return reportCreated{number}, nil
}

type reportFilePost struct {
	labCaller
	ReportID      labNumber `json:"checkup_report_id"`
	CheckID       string    `json:"check_id"`
	Filename      *string   `json:"filename"`
	Data          *string   `json:"data"`
	Type          *string   `json:"type"`
	GenerateIssue bool      `json:"generate_issue"` // there are no issues here
}

// reportFilePosted has its number under the name that the real server misspells, and
// under the one that it means.
type reportFilePosted struct {
	ReportID domain.Position `json:"report_id"`
	Chunck   domain.Position `json:"report_chunck_id"`
	Chunk    domain.Position `json:"report_chunk_id"`
}

var reportTypes = map[string]string{"json": mediaJSON, "sql": mediaText, "md": mediaText, "html": mediaText}

// reportFilePost answers rpc/checkup_report_file_post.
func (d *dialect) reportFilePost(ctx context.Context, c Caller, asked reportFilePost) (any, error) {
	report, media, err := asked.check()
	if err != nil {
		return nil, err
	}
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.CheckupFile, Parent: report}, parcel{
		facts: map[string]any{"filename": *asked.Filename, "check_id": asked.checkID(), "type": *asked.Type},
		files: []labFile{{partData, media, strings.NewReader(*asked.Data)}},
	})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return reportFilePosted{report, number, number}, nil
}

func (asked reportFilePost) check() (report domain.Position, media string, err error) {
	name, err := labText("filename", asked.Filename, "name the file")
	if err != nil {
		return 0, "", err
	}
	if name != path.Base(name) || name == "." || name == ".." || strings.ContainsAny(name, "\\\x00") {
		return 0, "", domain.Invalid("filename", "is a path", "send the name without its folder")
	}
	if err := labShort("filename", name, asked.CheckID); err != nil {
		return 0, "", err
	}
	if asked.Data == nil {
		return 0, "", domain.Invalid("data", "is missing", "send the file as a string")
	}
	media, known := reportTypes[orEmpty(asked.Type)]
	if !known {
		return 0, "", domain.Invalid("type", "is not a type of file", "send json, sql, md or html")
	}
	report, err = asked.ReportID.needed("checkup_report_id", "report")
	return report, media, err
}

// checkID is the check that a file is about: what its name begins with, if nobody says.
func (asked reportFilePost) checkID() string {
	name := []rune(*asked.Filename)
	if asked.CheckID == "" && len(name) > 4 && name[4] == '_' {
		return string(name[:4])
	}
	return asked.CheckID
}

// reportDelete answers rpc/checkup_report_delete: all of the reports or none.
func (d *dialect) reportDelete(ctx context.Context, c Caller, asked labDelete) (any, error) {
	var gone struct {
		Reports int `json:"reports"`
		JSONs   int `json:"jsons"`
		Texts   int `json:"texts"`
	}
	reports := unrepeated(asked.IDs.positions())
	gone.Reports = len(reports)
	for _, report := range reports {
		for row, err := range d.kept(ctx, c, projections.RecordFilter{Kind: domain.CheckupFile, Parent: report}) {
			if err != nil {
				return nil, err
			}
			if labReportFileOf(c, row).Type == "json" {
				gone.JSONs++
			} else {
				gone.Texts++
			}
		}
	}
	return gone, d.remove(ctx, c, domain.CheckupReport, reports)
}

// labReport is a row of the view checkup_reports.
type labReport struct {
	labMade
	OrgName string `json:"org_name"`
	labWithin
	Epoch  string `json:"epoch"`
	Status string `json:"status"`
}

func (d *dialect) reports(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labReport, error], error) {
	profile, _ := d.Model.Profile(c.Organization)
	return labMapped(d.records(ctx, c, q, domain.CheckupReport, ""), func(row projections.RecordRow) (r labReport) {
		_ = json.Unmarshal(row.Facts, &r) // they are what reportCreate has written
		r.labMade, r.labWithin, r.OrgName = labMadeOf(c, row.Number, row.Kept), labWithinOf(row.Project, row.Within), profile.Name
		return r
	}), nil
}

// labReportFile is a row of the view checkup_report_files.
type labReportFile struct {
	labMade
	ReportID domain.Position `json:"checkup_report_id"`
	labWithin
	Filename string `json:"filename"`
	CheckID  string `json:"check_id"`
	Type     string `json:"type"`

	data domain.Content
}

type labReportFileData struct {
	labReportFile
	Data string `json:"data"`
}

func labReportFileOf(c Caller, row projections.RecordRow) (f labReportFile) {
	_ = json.Unmarshal(row.Facts, &f) // they are what reportFilePost has written
	f.labMade, f.ReportID = labMadeOf(c, row.Number, row.Kept), row.Parent
	f.data, _ = part(row, partData)
	return f
}

func (d *dialect) reportFiles(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labReportFile, error], error) {
	reports := map[domain.Position]labWithin{}
	return labMapped(d.records(ctx, c, q.without("project_id"), domain.CheckupFile, "checkup_report_id"), func(row projections.RecordRow) labReportFile {
		f := labReportFileOf(c, row)
		within, seen := reports[row.Parent]
		if !seen {
			if report, err := d.Views.Record(ctx, c.Organization, row.Parent); err == nil {
				within = labWithinOf(report.Project, report.Within)
			}
			reports[row.Parent] = within
		}
		f.labWithin = within
		return f
	}), nil
}

func (d *dialect) reportFilesData(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labReportFileData, error], error) {
	rows, err := d.reportFiles(ctx, c, q)
	return labMapped(rows, func(f labReportFile) labReportFileData { return labReportFileData{labReportFile: f} }), err
}

func (d *dialect) finishFilesData(ctx context.Context, c Caller, rows []labReportFileData) error {
	var all []labWaiting
	for i := range rows {
		all = append(all, labWaiting{rows[i].data, func(text []byte) { rows[i].Data = string(text) }})
	}
	return d.fetch(ctx, c, all)
}

// reportDownload answers GET rpc/checkup_report_json_download: a ZIP of the JSON files,
// each once, the last that was sent under its name.
func (d *dialect) reportDownload(w http.ResponseWriter, r *http.Request, c Caller) error {
	report, err := labAsked(r, "checkup_report_id")
	if err != nil {
		return err
	}
	if err := d.there(c, domain.CheckupReport, report); err != nil {
		return err
	}
	var files []labReportFile
	for row, err := range d.kept(r.Context(), c, projections.RecordFilter{Kind: domain.CheckupFile, Parent: report}) {
		if err != nil {
			return err
		}
		f := labReportFileOf(c, row)
		if named := func(other labReportFile) bool { return other.Filename == f.Filename }; f.Type == "json" && !slices.ContainsFunc(files, named) {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return domain.Refuse(domain.ErrNotFound, "the report has no JSON files", "look at the list of its files")
	}
	attach(w.Header(), "", fmt.Sprintf("checkup-report-%d.zip", report))
	archive := zip.NewWriter(w)
	for _, f := range files {
		d.zip(r.Context(), archive, f)
	}
	if archive.Close() != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// zip adds a file. What can't be read whole breaks the answer off.
func (d *dialect) zip(ctx context.Context, archive *zip.Writer, f labReportFile) {
	content, err := d.open(ctx, f.data)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer content.Close()
	into, err := archive.CreateHeader(&zip.FileHeader{Name: f.Filename, Method: zip.Deflate, Modified: f.CreatedAt.Time()})
	if err == nil {
		_, err = io.Copy(into, content)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}
