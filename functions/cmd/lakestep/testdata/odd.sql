-- Tables as Spark makes them in its odder ways; {t} is the table. A line "--- name" begins a table; one that is "refused: feature" must be, by that name.

--- nested columns that came later
CREATE TABLE {t} (id INT, s STRUCT<a: INT, n: STRUCT<x: STRING>>, arr ARRAY<STRUCT<a: INT>>, m MAP<STRING, STRUCT<a: INT>>, aa ARRAY<ARRAY<STRUCT<a: INT>>>) USING delta
INSERT INTO {t} VALUES (1, named_struct('a', 1, 'n', named_struct('x', 'u')), array(named_struct('a', 1), NULL), map('k', named_struct('a', 1), 'l', NULL), array(array(named_struct('a', 1)), NULL, array()))
INSERT INTO {t} VALUES (2, NULL, NULL, NULL, NULL), (3, named_struct('a', NULL, 'n', NULL), array(), map(), array())
ALTER TABLE {t} ADD COLUMNS (s.b STRING FIRST, s.n.y DATE, arr.element.b DOUBLE FIRST, m.value.b DECIMAL(5,2), aa.element.element.b STRING, late ARRAY<INT> AFTER id)
INSERT INTO {t} VALUES (4, array(1, NULL), named_struct('b', 'ß', 'a', 4, 'n', named_struct('x', NULL, 'y', DATE'1582-10-15')), array(named_struct('b', 0.5D, 'a', 4)), map('k', named_struct('a', 4, 'b', 1.25)), array(array(named_struct('a', 4, 'b', 'q'))))

--- types that were widened
CREATE TABLE {t} (b BYTE, s SHORT, i INT, f FLOAT, d DECIMAL(5,2), day DATE, st STRUCT<i: INT, n: STRUCT<s: SHORT>>, arr ARRAY<INT>, m MAP<INT, FLOAT>, k BYTE) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.feature.timestampNtz' = 'supported')
INSERT INTO {t} VALUES (1, 2, 3, 0.1, 1.25, DATE'2020-02-29', named_struct('i', 7, 'n', named_struct('s', 8)), array(1, NULL, -3), map(1, 0.1), 127), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
ALTER TABLE {t} ALTER COLUMN b TYPE INT
ALTER TABLE {t} ALTER COLUMN s TYPE LONG
ALTER TABLE {t} ALTER COLUMN i TYPE DOUBLE
ALTER TABLE {t} ALTER COLUMN f TYPE DOUBLE
ALTER TABLE {t} ALTER COLUMN d TYPE DECIMAL(12,4)
ALTER TABLE {t} ALTER COLUMN day TYPE TIMESTAMP_NTZ
ALTER TABLE {t} ALTER COLUMN st.i TYPE LONG
ALTER TABLE {t} ALTER COLUMN st.n.s TYPE INT
ALTER TABLE {t} ALTER COLUMN arr.element TYPE LONG
ALTER TABLE {t} ALTER COLUMN m.key TYPE LONG
ALTER TABLE {t} ALTER COLUMN m.value TYPE DOUBLE
ALTER TABLE {t} ALTER COLUMN k TYPE DECIMAL(11,1)
INSERT INTO {t} VALUES (2147483647, 9223372036854775807, 1e300, 1e-300, 12345678.1234, TIMESTAMP_NTZ'1969-12-31 23:59:59.999999', named_struct('i', 5000000000, 'n', named_struct('s', 70000)), array(5000000000), map(5000000000, 1e300), 1234567890.5)

--- columns mapped by name, renamed, dropped, and rows deleted
CREATE TABLE {t} (id LONG, `a b` STRING, s STRUCT<x: INT, `y.z`: STRING>, arr ARRAY<STRUCT<q: INT>>, p STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')
INSERT INTO {t} SELECT /*+ COALESCE(1) */ id, concat('v', id), named_struct('x', CAST(id AS INT), 'y.z', 'w'), array(named_struct('q', CAST(id AS INT))), if(id % 2 = 0, 'e/v=%', NULL) FROM range(100)
DELETE FROM {t} WHERE id % 7 = 3
ALTER TABLE {t} RENAME COLUMN `a b` TO `"quoted" ,;`
ALTER TABLE {t} RENAME COLUMN s.x TO `x y`
ALTER TABLE {t} DROP COLUMN s.`y.z`
ALTER TABLE {t} ADD COLUMNS (s.`y.z` INT, `a b` DATE, arr.element.r STRING)
ALTER TABLE {t} RENAME COLUMN p TO `part ition`
DELETE FROM {t} WHERE id > 90
INSERT INTO {t} VALUES (1000, 'new', named_struct('x y', 1, 'y.z', 2), array(named_struct('q', 1, 'r', 'r')), 'ä', DATE'0001-01-01')
UPDATE {t} SET `"quoted" ,;` = 'changed' WHERE id = 50

--- columns mapped by id
CREATE TABLE {t} (id LONG, s STRUCT<x: INT, n: STRUCT<y: INT>>, arr ARRAY<STRUCT<q: INT>>, m MAP<STRING, STRUCT<v: INT>>) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'id')
INSERT INTO {t} VALUES (1, named_struct('x', 1, 'n', named_struct('y', 2)), array(named_struct('q', 3)), map('a', named_struct('v', 4)))
ALTER TABLE {t} RENAME COLUMN s.n.y TO z
ALTER TABLE {t} RENAME COLUMN id TO key
ALTER TABLE {t} ADD COLUMNS (m.value.u INT)
ALTER TABLE {t} DROP COLUMN m.value.v
ALTER TABLE {t} ADD COLUMNS (id STRING, s.n.y STRING, m.value.w INT)
INSERT INTO {t} VALUES (2, named_struct('x', 1, 'n', named_struct('z', 2, 'y', 'y')), NULL, map('b', named_struct('u', NULL, 'w', 5)), 'i')

--- a mapping that came later
CREATE TABLE {t} (a INT, b STRUCT<c: INT>) USING delta
INSERT INTO {t} VALUES (1, named_struct('c', 1))
ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')
ALTER TABLE {t} RENAME COLUMN a TO z
ALTER TABLE {t} RENAME COLUMN b.c TO d
INSERT INTO {t} VALUES (2, named_struct('d', 2))

--- old ways of timestamps and lists
CREATE TABLE {t} (ts TIMESTAMP, arr ARRAY<ARRAY<STRUCT<a: INT>>>, one ARRAY<STRUCT<a: TIMESTAMP>>, m MAP<TIMESTAMP, ARRAY<INT>>, d DECIMAL(20,3), e DECIMAL(9,2)) USING delta
SET spark.sql.parquet.outputTimestampType = INT96
INSERT INTO {t} VALUES (TIMESTAMP'1999-12-31 23:59:59.123456Z', array(array(named_struct('a', 1), NULL)), array(named_struct('a', TIMESTAMP'2030-01-01 00:00:00Z')), map(TIMESTAMP'2001-01-01 00:00:00.000001Z', array(1)), 12345678901234567.125, 1.25)
SET spark.sql.parquet.writeLegacyFormat = true
INSERT INTO {t} VALUES (TIMESTAMP'1999-12-31 23:59:59.123456Z', array(array(named_struct('a', 1), NULL)), array(named_struct('a', TIMESTAMP'2030-01-01 00:00:00Z'), NULL), map(TIMESTAMP'2001-01-01 00:00:00.000001Z', array(1, NULL)), 12345678901234567.125, -1.25)
SET spark.sql.parquet.outputTimestampType = TIMESTAMP_MILLIS
INSERT INTO {t} VALUES (TIMESTAMP'1999-12-31 23:59:59.123Z', NULL, array(), map(), NULL, NULL)
SET spark.sql.parquet.writeLegacyFormat = false
SET spark.sql.parquet.outputTimestampType = TIMESTAMP_MICROS
INSERT INTO {t} VALUES (TIMESTAMP'9999-12-31 23:59:59.999999Z', array(), NULL, NULL, -99999999999999999.999, 0), (TIMESTAMP'0001-01-01 00:00:00Z', NULL, NULL, NULL, 0.001, NULL)

--- partitions of every type
CREATE TABLE {t} (n INT, b BYTE, s SHORT, i INT, l LONG, f FLOAT, d DOUBLE, dec DECIMAL(10,3), bool BOOLEAN, day DATE, ts TIMESTAMP, ntz TIMESTAMP_NTZ, str STRING, bin BINARY) USING delta PARTITIONED BY (b, s, i, l, f, d, dec, bool, day, ts, ntz, str, bin)
INSERT INTO {t} VALUES (1, -128, -32768, -2147483648, -9223372036854775808, 1.1, 1e-7, 0.125, true, DATE'1582-10-14', TIMESTAMP'2020-01-01 00:00:00.123456Z', TIMESTAMP_NTZ'1900-01-01 00:00:00', ' x''y"z ', X'41')
INSERT INTO {t} VALUES (2, 127, 32767, 2147483647, 9223372036854775807, float('NaN'), double('-Infinity'), -1234567.125, false, DATE'9999-12-31', TIMESTAMP'1969-12-31 23:59:59Z', TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', '日本 #1?', X'7A7B')
INSERT INTO {t} VALUES (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, 0, 0, 0, 0, -0.0, 1e300, 0, true, DATE'1970-01-01', TIMESTAMP'1970-01-01 00:00:00Z', TIMESTAMP_NTZ'1970-01-01 00:00:00', '__HIVE_DEFAULT_PARTITION__x', X'20')

--- names that the engine has for itself
CREATE TABLE {t} (filename STRING, file_index INT, _r STRUCT<_e0: INT, file: INT>, `_file` INT, `_pos` INT, position INT, p INT) USING delta PARTITIONED BY (p)
INSERT INTO {t} VALUES ('f', 7, named_struct('_e0', 1, 'file', 2), 3, 4, 5, 6)
INSERT INTO {t} VALUES ('g', 8, NULL, 3, 4, 5, 7)
ALTER TABLE {t} ADD COLUMNS (_r.position INT)
INSERT INTO {t} VALUES ('h', 9, named_struct('_e0', 1, 'file', 2, 'position', 3), 3, 4, 5, NULL)

--- names with every character
CREATE TABLE {t} (`a.b` INT, `c"d` STRUCT<`e.f`: INT, `g'h`: STRING>, `日 本` ARRAY<STRUCT<`x y`: INT>>, `%s` MAP<STRING, INT>, `(1)` INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')
INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (1, named_struct('e.f', 1, 'g''h', 'line\nbreak #'), array(named_struct('x y', 1)), map('\u0001', 1), 1), (2, NULL, NULL, NULL, NULL)
DELETE FROM {t} WHERE `a.b` = 2

--- variants
SET spark.sql.parquet.variant.annotateLogicalType.enabled = false
SET spark.sql.variant.writeShredding.enabled = false
CREATE TABLE {t} (id INT, v VARIANT, s STRUCT<v: VARIANT>, arr ARRAY<VARIANT>) USING delta TBLPROPERTIES ('delta.enableVariantShredding' = 'false')
INSERT INTO {t} SELECT 1, parse_json('{"a": [1, 2.50, "x", null, true, {"b": 1e100}], "long": "0123456789012345678901234567890123456789012345678901234567890123456789", "big": 12345678901234567890, "n": -128}'), named_struct('v', parse_json('[]')), array(parse_json('{}'), NULL, parse_json('null'))
INSERT INTO {t} SELECT 2, to_variant_object(named_struct('d', DATE'2020-01-31', 'ts', TIMESTAMP'2020-01-01 12:34:56.7Z', 'ntz', TIMESTAMP_NTZ'2020-01-01 00:00:00.000001', 'bin', X'00FF', 'f', float('0.1'), 'dec', CAST(-0.001 AS DECIMAL(38,10)), 'l', 9223372036854775807, 's', CAST(-2 AS SHORT))), NULL, NULL
INSERT INTO {t} SELECT 3, parse_json(concat('[', array_join(transform(sequence(1, 300), x -> concat('{"k', x, '": ', x, '}')), ','), ']')), NULL, NULL

--- refused: variantShredding
SET spark.sql.variant.writeShredding.enabled = true
SET spark.sql.variant.inferShreddingSchema = true
CREATE TABLE {t} (id INT, v VARIANT) USING delta TBLPROPERTIES ('delta.enableVariantShredding' = 'true')
INSERT INTO {t} SELECT id, parse_json(concat('{"a": ', id, '}')) FROM range(10)

--- variants with Parquet's annotation
SET spark.sql.parquet.variant.annotateLogicalType.enabled = true
SET spark.sql.variant.writeShredding.enabled = false
CREATE TABLE {t} (id INT, v VARIANT, s STRUCT<v: VARIANT>, arr ARRAY<VARIANT>) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')
INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (1, parse_json('null'), named_struct('v', parse_json('null')), array(parse_json('{}'), NULL, parse_json('null'))), (2, NULL, named_struct('v', NULL), NULL), (3, parse_json('3'), NULL, array())
DELETE FROM {t} WHERE id = 3

--- rows deleted of many files
CREATE TABLE {t} (id LONG, pad STRING) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')
INSERT INTO {t} SELECT /*+ REPARTITION(3) */ id, concat('p', id) FROM range(3000)
DELETE FROM {t} WHERE id % 3 = 0
DELETE FROM {t} WHERE id < 1000 AND id % 2 = 0
UPDATE {t} SET pad = 'u' WHERE id BETWEEN 1500 AND 1510
INSERT INTO {t} SELECT id, NULL FROM range(5000, 5100)
DELETE FROM {t} WHERE id >= 5050
OPTIMIZE {t}
DELETE FROM {t} WHERE id IN (1, 2999)
MERGE INTO {t} AS t USING (SELECT id * 7 AS id FROM range(500)) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET pad = 'm' WHEN NOT MATCHED THEN INSERT (id, pad) VALUES (s.id, 'i')

--- void columns and columns in another case
CREATE TABLE {t} (Id INT, nothing VOID, Name STRING, s STRUCT<A: INT>) USING delta
INSERT INTO {t} (iD, NAME, S) VALUES (1, 'x', named_struct('a', 1))
INSERT INTO {t} (iD, NAME, S) VALUES (2, 'y', NULL)
