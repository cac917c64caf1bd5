package demo

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/national"
)

// applicant is an invented person: nobody has this name, number and address
// together, and the portrait is drawn.
type applicant struct {
	person national.Person
	look   portrait.Look
}

func (a applicant) photo() []byte { return portrait.JPEG(a.look) }

// applicants are made for a given day, so that the demo works in any year.
func applicants(now time.Time) []applicant {
	var all []applicant
	for i, p := range []struct {
		province        string
		name, sex       string
		age             int
		origin, address string
		marks           string
	}{
		{"001", "NGUYỄN THỊ MINH NGUYỆT", "F", 34, "Xã Ví Dụ, Huyện Mẫu, Hà Nội", "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", "Nốt ruồi cách 2cm dưới đuôi mắt trái"},
		{"048", "TRẦN VĂN ĐỨC", "M", 52, "Xã Mẫu, Huyện Ví Dụ, Đà Nẵng", "Số 7 đường Giả Định, Phường Mẫu, Đà Nẵng", "Sẹo chấm cách 1cm trên lông mày phải"},
		{"079", "LÊ HOÀNG ANH THƯ", "F", 19, "Phường Mẫu, TP. Hồ Chí Minh", "Ký túc xá Thử Nghiệm, phòng 204, TP. Hồ Chí Minh", ""},
		{"092", "PHẠM QUỐC KHÁNH", "M", 41, "Xã Giả Định, Huyện Mẫu, Cần Thơ", "Tổ 3, Ấp Ví Dụ, Xã Giả Định, Cần Thơ", "Nốt ruồi sau tai phải"},
		{"024", "HOÀNG THỊ Ỷ LAN", "F", 73, "Xã Thử Nghiệm, Huyện Ví Dụ, Bắc Giang", "Thôn Mẫu, Xã Thử Nghiệm, Bắc Giang", ""},
		{"036", "VŨ ĐÌNH TÙNG", "M", 27, "Xã Ví Dụ, Huyện Giả Định, Nam Định", "Khu nhà ở công nhân Mẫu, lô B, Nam Định", "Sẹo dài 2cm ở cằm"},
	} {
		born := now.AddDate(-p.age, -i-1, -3*i)
		all = append(all, applicant{
			person: national.Person{
				Number:   number(p.province, p.sex, born, 4242+7*i),
				FullName: p.name, DateOfBirth: born.Format(time.DateOnly), Sex: p.sex,
				Nationality: "VNM", Ethnicity: "Kinh", Religion: "Không",
				PlaceOfOrigin: p.origin, PlaceOfResidence: p.address, IdentifyingMarks: p.marks,
				FatherName: "", MotherName: "",
				DateOfExpiry: expiry(born, now),
			},
			look: portrait.Look{Seed: uint64(i)*13 + 1, Female: p.sex == "F", Age: p.age},
		})
	}
	return all
}

// number makes a personal number (Decree 137/2015): the province of birth
// registration, a digit for century and sex, the year, six more digits.
func number(province, sex string, born time.Time, serial int) string {
	century := (born.Year()/100 - 19) * 2
	if sex == "F" {
		century++
	}
	return fmt.Sprintf("%s%d%02d%06d", province, century, born.Year()%100, serial)
}

// expiry: a card is renewed at 25, 40 and 60; after that it does not expire.
func expiry(born, now time.Time) string {
	for _, age := range []int{25, 40, 60} {
		if until := born.AddDate(age, 0, 0); until.After(now.AddDate(2, 0, 0)) {
			return until.Format(time.DateOnly)
		}
	}
	return ""
}

// writeRoster writes the list that a school would hand in, with a folder of
// photos beside it. Two of its rows are bad, as in every real list.
func writeRoster(dir string, people []applicant) (file, photos string, err error) {
	photos = filepath.Join(dir, "photos")
	if err := os.MkdirAll(photos, 0o700); err != nil {
		return "", "", err
	}
	var list bytes.Buffer
	w := csv.NewWriter(&list)
	row := func(p national.Person) {
		sex := map[string]string{"M": "Nam", "F": "Nữ"}[p.Sex]
		w.Write([]string{p.Number, p.FullName, p.DateOfBirth, sex, p.PlaceOfOrigin, p.PlaceOfResidence, p.IdentifyingMarks, p.DateOfExpiry})
	}
	w.Write([]string{"số định danh", "họ và tên", "ngày sinh", "giới tính", "quê quán", "nơi thường trú", "đặc điểm nhận dạng", "ngày hết hạn"})
	for _, a := range people {
		row(a.person)
		if err := os.WriteFile(filepath.Join(photos, a.person.Number+".jpg"), a.photo(), 0o600); err != nil {
			return "", "", err
		}
	}
	wrongSex := people[0].person
	wrongSex.Sex = "M"
	row(wrongSex)
	noPhoto := people[1].person
	noPhoto.Number = noPhoto.Number[:6] + strings.Repeat("9", 6)
	row(noPhoto)
	w.Flush()
	file = filepath.Join(dir, "roster.csv")
	return file, photos, os.WriteFile(file, list.Bytes(), 0o600)
}
