package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// How a command was called wrongly is worded in English where it is found, and
// in Vietnamese here: by the English sentence, for all that people at a station,
// a counter or a line can mistype. What the authority's people mistype (pki)
// stays English. TestUsageInVietnamese holds the table to the commands.

// misuse is wrong usage: a sentence and what stands in it.
type misuse struct {
	english, format string
	args            []any
}

func (e *misuse) Error() string { return e.english }

func misusef(format string, args ...any) error {
	return &misuse{fmt.Sprintf(format, args...), format, args}
}

// usageErrorf says that the command was called wrongly. It takes no %w: what is
// wrong is told, and nobody asks further.
func usageErrorf(format string, args ...any) error {
	return &exitCode{code: exitUsage, err: misusef(format, args...)}
}

// inVietnamese is the sentence in Vietnamese, and so is what stands in it; empty
// where there is none.
func (e *misuse) inVietnamese() string {
	vi := vietnameseUsage()[e.format]
	if vi == "" {
		return ""
	}
	args := make([]any, len(e.args))
	for i, arg := range e.args {
		if err, ok := arg.(error); ok {
			arg = inVietnamese(err)
		}
		args[i] = arg
	}
	return fmt.Sprintf(vi, args...)
}

// language is the one that messages are in, as far as the arguments tell before
// they are parsed: a mistake in the first of them is told in it too.
func language(args []string) string {
	lang := ""
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--lang" && i+1 < len(args) {
			lang = args[i+1]
		} else if value, ok := strings.CutPrefix(arg, "--lang="); ok {
			lang = value
		}
	}
	switch {
	case lang != "":
		return lang
	case strings.HasPrefix(os.Getenv("LANG"), "vi"):
		return "vi"
	}
	return "en"
}

// flagMistake says what is wrong with a flag, in words that need no Go.
func flagMistake(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var syntax *pflag.InvalidSyntaxError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return misusef("unknown flag: -%s", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		return misusef("unknown flag: --%s", unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return misusef("flag needs an argument: --%s", missing.GetFlag().Name)
	case errors.As(err, &syntax):
		return misusef("bad flag syntax: %s", syntax.GetSpecifiedFlag())
	case errors.As(err, &invalid):
		return valueMistake(invalid)
	}
	return err
}

func valueMistake(e *pflag.InvalidValueError) error {
	name, value, why := e.GetFlag().Name, e.GetValue(), e.Unwrap().Error()
	if strings.Contains(why, "out of range") {
		return misusef("--%s: %q is too large", name, value)
	}
	switch e.GetFlag().Value.Type() {
	case "int":
		return misusef("--%s takes a whole number, not %q", name, value)
	case "duration":
		return misusef("--%s takes a time such as 30s, 5m or 24h, not %q", name, value)
	case "bool":
		return misusef("--%s takes true or false, not %q", name, value)
	}
	return misusef("--%s: %s", name, why)
}

// noEmptyFlag refuses a flag that was given with nothing in it, as by a script
// whose variable is not set: a read that should be bound to a challenge would not
// be, and nobody would see it.
func noEmptyFlag(cmd *cobra.Command) (err error) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Value.Type() == "string" && f.Value.String() == "" && err == nil {
			err = usageErrorf("--%s is empty: give it a value, or leave it away", f.Name)
		}
	})
	return err
}

// noSuchCommand answers an unknown command with those that it may have been.
func noSuchCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2 // letters
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usageErrorf("there is no command %s %s; did you mean %s? (see %s --help)", cmd.CommandPath(), name, strings.Join(near, ", "), cmd.CommandPath())
	}
	return usageErrorf("there is no command %s %s (see %s --help)", cmd.CommandPath(), name, cmd.CommandPath())
}

// vietnameseUsage are the sentences by their English ones. What stands in them
// has the same order in both.
func vietnameseUsage() map[string]string {
	return map[string]string{
		// Of every command.
		"there is no command %s %s (see %s --help)":                   "không có lệnh %s %s (xem %s --help)",
		"there is no command %s %s; did you mean %s? (see %s --help)": "không có lệnh %s %s; có phải ý bạn là %s? (xem %s --help)",
		"%s takes no arguments (see %s --help)":                       "%s không nhận tham số nào (xem %s --help)",
		"%s takes %s (see %s --help)":                                 "%s cần %s (xem %s --help)",
		"%v (see %s --help)":                                          "%v (xem %s --help)",
		"unknown flag: -%s":                                           "không có cờ -%s",
		"unknown flag: --%s":                                          "không có cờ --%s",
		"flag needs an argument: --%s":                                "cờ --%s cần một giá trị đi kèm",
		"bad flag syntax: %s":                                         "cờ viết sai: %s",
		"--%s takes a whole number, not %q":                           "--%s nhận một số nguyên, không phải %q",
		"--%s takes a time such as 30s, 5m or 24h, not %q":            "--%s nhận một khoảng thời gian như 30s, 5m hoặc 24h, không phải %q",
		"--%s takes true or false, not %q":                            "--%s nhận true hoặc false, không phải %q",
		"--%s: %q is too large":                                       "--%s: %q quá lớn",
		"--%s: %s":                                                    "--%s: giá trị không đúng (%s)",
		"--%s is empty: give it a value, or leave it away":            "--%s để trống: hãy cho một giá trị, hoặc bỏ cờ này",
		"--lang is vi or en, not %q":                                  "--lang là vi hoặc en, không phải %q",
		"%s needs --reason TEXT":                                      "%s cần --reason LÝ-DO",

		// read, verify, reader.
		"give either --reader or --chip, not both":                 "chỉ cho --reader hoặc --chip, không cho cả hai",
		"--timeout is a time such as 60s, not %s":                  "--timeout là một khoảng thời gian như 60s, không phải %s",
		"--rejoin is a time such as 10s, or 0 not to wait, not %s": "--rejoin là một khoảng thời gian như 10s, hoặc 0 để không chờ, không phải %s",
		"--plan: %v": "--plan: không có kế hoạch đọc này; hãy cho identity, photo, full, hoặc các nhóm dữ liệu như DG1,DG13 (%v)",
		"--events is for programs: give --json too":                        "--events dành cho chương trình: hãy cho cả --json",
		"give either --cache or --no-cache, not both":                      "chỉ cho --cache hoặc --no-cache, không cho cả hai",
		"give either --%s or --%s-file, not both":                          "chỉ cho --%s hoặc --%s-file, không cho cả hai",
		"%s has no %s in its first line":                                   "%s không có mã %s ở dòng đầu",
		"--%s - asks on a terminal, and this is none: give --%s-file FILE": "--%s - hỏi trên terminal, mà đây không phải terminal: hãy cho --%s-file FILE",
		"no %s was typed": "chưa nhập mã %s",
		"--pin: %v":       "--pin: mã PIN có từ 4 đến 16 chữ số (%v)",
		"--puk: %v":       "--puk: mã PUK có từ 4 đến 16 chữ số (%v)",
		"give either --pin or --puk, not both: the PUK is for a PIN that is blocked (chipid card unblock)": "chỉ cho --pin hoặc --puk, không cho cả hai: mã PUK dành cho mã PIN đã bị khóa (chipid card unblock)",
		"--terminal-name says which terminal of --terminal DIR: give both":                                 "--terminal-name chọn một thiết bị đầu cuối trong --terminal DIR: hãy cho cả hai",
		"--trace-secrets says what --trace records: give both":                                             "--trace-secrets nói rõ --trace ghi những gì: hãy cho cả hai",
		"--export FORM and --to PATH go together":                                                          "--export DẠNG và --to ĐƯỜNG-DẪN phải đi cùng nhau",
		"--export: %v": "--export: không có dạng này; hãy cho c06, c06-aa hoặc files (%v)",
		"--export %s gives out what --plan %s leaves out: leave --plan away":             "--export %s đưa ra những gì mà --plan %s bỏ qua: hãy bỏ --plan",
		"--challenge is 16 hexadecimal digits":                                           "--challenge gồm 16 chữ số thập lục phân",
		"--at takes now, a date as 2026-11-05 or a time as 2026-11-05T08:00:00Z, not %q": "--at nhận now, một ngày như 2026-11-05 hoặc một thời điểm như 2026-11-05T08:00:00Z, không phải %q",

		// card.
		"%s needs --photo FILE and --out DIR (see %s --help)": "%s cần --photo TỆP và --out THƯ-MỤC (xem %s --help)",
		"--profile: %v": "--profile: loại thẻ là vn hoặc utopia (%v)",
		"--aa: %v":      "--aa là ecdsa, rsa hoặc none (%v)",
		"--finger %s: a fingerprint is written POSITION=FILE, with a position such as right-index": "--finger %s: vân tay được viết VỊ-TRÍ=TỆP, với vị trí như right-index",
		"--iris %s: an iris is written EYE=FILE, with right or left for the eye":                   "--iris %s: mống mắt được viết MẮT=TỆP, với mắt là right (phải) hoặc left (trái)",
		"--puk is for a card with a PIN: give --pin too":                                           "--puk dành cho thẻ có mã PIN: hãy cho cả --pin",
		"%s: %v": "%s: giá trị không đúng (%v)",
		"%s needs either --reader NAME or --chip FILE (see %s --help)": "%s cần --reader TÊN hoặc --chip TỆP (xem %s --help)",
		"--kind: %v": "--kind: loại chip là chipid hoặc jmrtd (%v)",
		"%s needs --puk or --puk-file (see %s --help)": "%s cần --puk hoặc --puk-file (xem %s --help)",
		"%s needs --chip FILE (see %s --help)":         "%s cần --chip TỆP (xem %s --help)",
		"there is no quirk %q: %s --quirks lists them": "không có tật %q: %s --quirks liệt kê tất cả",
		"give either --slot or --address, not both":    "chỉ cho --slot hoặc --address, không cho cả hai",
		"--slot: %v": "--slot: không có khe này; vpcd đánh số từ 0 (%v)",
		"--prints says what --pictures DIR writes: give both": "--prints nói rõ --pictures THƯ-MỤC ghi những gì: hãy cho cả hai",
		"%s needs --out FILE.pdf or FILE.png (see %s --help)": "%s cần --out TỆP.pdf hoặc TỆP.png (xem %s --help)",
		"--side is front or back, not %q":                     "--side là front (mặt trước) hoặc back (mặt sau), không phải %q",
		"--side goes with a PNG; a PDF has both faces":        "--side đi cùng PNG; PDF có cả hai mặt",
		"--keep: %v": "--keep: thư mục phải trống (%v)",

		// enroll, audit.
		"which station? give its folder with --station DIR or CHIPID_STATION (chipid pki init makes one)": "trạm nào? hãy chỉ thư mục của trạm bằng --station THƯ-MỤC hoặc CHIPID_STATION (chipid pki init tạo ra thư mục này)",
		"--operator is empty: say who you are":                                 "--operator để trống: hãy cho biết bạn là ai",
		"--operator: %v":                                                       "--operator: tên người thao tác phải có, ngắn và in ra được (%v)",
		"%s takes at most one APPLICANT.json (see %s --help)":                  "%s chỉ nhận một tệp APPLICANT.json (xem %s --help)",
		"--kind is %s, %s or %s, not %q":                                       "--kind là %s, %s hoặc %s, không phải %q",
		"--evidence is of the old card: say --kind %s or %s":                   "--evidence là của thẻ cũ: hãy cho --kind %s hoặc %s",
		"%s needs an APPLICANT.json or flags such as --number (see %s --help)": "%s cần một tệp APPLICANT.json hoặc các cờ như --number (xem %s --help)",
		"%s takes one ID or more, or --all (see %s --help)":                    "%s cần một hay nhiều mã hồ sơ, hoặc --all (xem %s --help)",
		"there is no state %q; there are %s":                                   "không có trạng thái %q; chỉ có %s",
		"say where the hub is: --hub https://HOST:PORT or CHIPID_HUB":          "hãy cho biết trung tâm ở đâu: --hub https://MÁY:CỔNG hoặc CHIPID_HUB",
		"--hub: %v":                                           "--hub: địa chỉ trung tâm được viết https://MÁY:CỔNG (%v)",
		"--parallel is 1 to 16, not %d":                       "--parallel từ 1 đến 16, không phải %d",
		"--attempts is at least 1, not %d":                    "--attempts ít nhất là 1, không phải %d",
		"--contains is NUMBER:HASH as audit verify prints it": "--contains là SỐ:MÃ-BĂM như audit verify in ra",

		// batch, hub.
		"which batch? give its folder with --batch DIR (see %s --help)": "lô nào? hãy chỉ thư mục của lô bằng --batch THƯ-MỤC (xem %s --help)",
		"--limit is a number of cards, not %d":                          "--limit là số thẻ, không phải %d",
		"%s needs either --reader NAME or --chips DIR (see %s --help)":  "%s cần --reader TÊN hoặc --chips THƯ-MỤC (xem %s --help)",
		"--lines is 1 to %d, not %d":                                    "--lines từ 1 đến %d, không phải %d",
		"--lines goes with --chips; each --reader is a line of its own": "--lines đi cùng --chips; mỗi --reader là một dây chuyền riêng",
		"--wait is a time such as 60s, not %s":                          "--wait là một khoảng thời gian như 60s, không phải %s",
		"%q was named twice with --reader":                              "đầu đọc %q được chọn hai lần bằng --reader",
		"--reason is one line of at most %d octets":                     "--reason là một dòng không quá %d byte",
		"say where to write the records: --out DIR":                     "hãy cho biết ghi hồ sơ vào đâu: --out THƯ-MỤC",
	}
}
