SELECT
  _row,
  customer_id,
  lower(email) AS email,
  city,
  try_cast(updated_at AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_customers" }}
