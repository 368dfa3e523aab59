-- One spelling of each value, so that an unchanged customer who is sent again does not look changed.
SELECT
  _row,
  nullif(trim(customer_id), '') AS customer_id,
  lower(trim(email)) AS email,
  trim(name) AS name,
  trim(company) AS company,
  upper(trim(country)) AS country,
  lower(trim(segment)) AS segment,
  try_cast(created_at AS TIMESTAMP) AS created_at,
  try_cast(updated_at AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_customers" }}
