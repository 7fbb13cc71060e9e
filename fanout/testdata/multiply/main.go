// Command multiply copies the one run of a database of admin's until there are so many. It is a program of its own since
// with the race detector, which tests have, SQLite takes fourteen times as long.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"

	_ "modernc.org/sqlite" // admin's database
)

func main() {
	if err := multiply(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "multiply:", err)
		os.Exit(1)
	}
}

func multiply(path, runs string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	var list string
	if err := db.QueryRow(`SELECT group_concat(name) FROM pragma_table_info('runs')`).Scan(&list); err != nil {
		return err
	}
	changed := map[string]string{"seq": "seq + i", "id": "id || 'n' || i", "cause": "'replay'", "ord": "ord + i"}
	columns := strings.Split(list, ",")
	values := make([]string, len(columns))
	for i, column := range columns {
		values[i] = column
		if expression, ok := changed[column]; ok {
			values[i] = expression
		}
	}
	_, err = db.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST(? AS INTEGER) - 1)
		INSERT INTO runs (`+list+`) SELECT `+strings.Join(values, ", ")+` FROM runs, n`, runs)
	return err
}
