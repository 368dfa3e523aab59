-- Types only: which rows are good is decided by the rules in pipeline.yaml, which of them is the newest by sequence_by.
-- What does not parse becomes NULL, so that the rule names the reason instead of the query failing.
SELECT
  _row,
  try_cast(order_id AS BIGINT) AS order_id,
  nullif(trim(customer_id), '') AS customer_id,
  nullif(trim(product_id), '') AS product_id,
  try_cast(quantity AS INTEGER) AS quantity,
  try_cast(unit_price AS DECIMAL(12, 2)) AS unit_price,
  upper(trim(currency)) AS currency,
  lower(trim(status)) AS status,
  try_cast(order_ts AS TIMESTAMP) AS order_ts,
  try_cast(updated_at AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_orders" }}
