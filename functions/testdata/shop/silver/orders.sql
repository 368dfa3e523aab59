SELECT
  _row,
  try_cast(order_id AS BIGINT) AS order_id,
  nullif(trim(customer_id), '') AS customer_id,
  try_cast(quantity AS INTEGER) AS quantity,
  try_cast(price AS DECIMAL(12, 2)) AS price,
  try_cast(updated_at AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_orders" }}
